"""The OA systems that the source suite runs on, a module for each vendor: its emulator, and hands in it.

A module gives `VARIANTS`: name → a function of an empty folder whose context manager gives a `SourceUnderTest`. A vendor
with one way of being connected has one variant, named "".
"""
