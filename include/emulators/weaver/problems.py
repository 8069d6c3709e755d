"""Errors of the emulator itself; what a client is answered stands in soap.py and rest.py."""

from __future__ import annotations


class EmulatorError(Exception):
    """The emulator was asked for something that it cannot do (tests, the admin interface, the command line)."""
