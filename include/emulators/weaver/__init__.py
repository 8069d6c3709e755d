"""The emulated e-cology (泛微): an OA with expenses and loans over SOAP and E9 REST. See README.md."""

from include.emulators.weaver.company import INTEGRATION_USER
from include.emulators.weaver.generate import Plan
from include.emulators.weaver.options import Options
from include.emulators.weaver.problems import EmulatorError
from include.emulators.weaver.server import ADMIN_KEY, APP_ID, running, serve
from include.emulators.weaver.world import World, open_world

__all__ = [
    "ADMIN_KEY",
    "APP_ID",
    "INTEGRATION_USER",
    "EmulatorError",
    "Options",
    "Plan",
    "World",
    "open_world",
    "running",
    "serve",
]
