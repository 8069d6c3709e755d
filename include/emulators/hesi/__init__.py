"""The Hesi (合思, formerly 易快报) OpenAPI as a real HTTP server over an invented company."""

from include.emulators.hesi.app import build_app
from include.emulators.hesi.clock import EmulatorClock
from include.emulators.hesi.event_log import load_events
from include.emulators.hesi.faults import Faults
from include.emulators.hesi.generated.generator import generate_world
from include.emulators.hesi.model import EmulatorError, Truth
from include.emulators.hesi.server import ADMIN_KEY, APP_KEY, APP_SECRET, running, serve
from include.emulators.hesi.world import World

__all__ = [
    "ADMIN_KEY",
    "APP_KEY",
    "APP_SECRET",
    "EmulatorClock",
    "EmulatorError",
    "Faults",
    "Truth",
    "World",
    "build_app",
    "generate_world",
    "load_events",
    "running",
    "serve",
]
