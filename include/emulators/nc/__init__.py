"""Yonyou NC 外部交换平台 as a real HTTP server over books in an SQLite file."""

from include.emulators.nc.app import SERVLET, VENDOR_FAULTS, Credentials, build_app
from include.emulators.nc.options import Options
from include.emulators.nc.server import ADMIN_KEY, BOOK, company, running, serve

__all__ = [
    "ADMIN_KEY",
    "BOOK",
    "SERVLET",
    "VENDOR_FAULTS",
    "Credentials",
    "Options",
    "build_app",
    "company",
    "running",
    "serve",
]
