"""The suite of document sources, under the name that its users know."""

from include.conformance.source_suite import *  # noqa: F403
from include.conformance.source_suite import SourceSuite

SourceContract = SourceSuite
