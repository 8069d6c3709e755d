"""Yonyou YonBIP / YonSuite behind its open platform, as a real HTTP server over books in an SQLite file."""

from include.emulators.yonbip.app import VENDOR_FAULTS, build_app
from include.emulators.yonbip.options import Options
from include.emulators.yonbip.platform import Credentials
from include.emulators.yonbip.server import ADMIN_KEY, BOOK, company, running, serve

__all__ = [
    "ADMIN_KEY",
    "BOOK",
    "VENDOR_FAULTS",
    "Credentials",
    "Options",
    "build_app",
    "company",
    "running",
    "serve",
]
