"""The quality gate (质量关): Great Expectations suites over the store, failures named per document."""
