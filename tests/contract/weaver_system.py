"""The suite's system, under the name that its users know."""

from include.conformance.source.weaver import *  # noqa: F403
