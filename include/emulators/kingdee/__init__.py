"""Kingdee 金蝶云星空 (K3Cloud) WebAPI as a real HTTP server over books in an SQLite file."""

from include.emulators.kingdee.access import Credentials
from include.emulators.kingdee.app import VENDOR_FAULTS, build_app
from include.emulators.kingdee.options import Options
from include.emulators.kingdee.server import ADMIN_KEY, SITE, company, running, serve

__all__ = [
    "ADMIN_KEY",
    "SITE",
    "VENDOR_FAULTS",
    "Credentials",
    "Options",
    "build_app",
    "company",
    "running",
    "serve",
]
