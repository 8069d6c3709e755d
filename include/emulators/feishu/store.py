"""The tables of an emulated Feishu tenant. Times are epoch milliseconds."""

from __future__ import annotations

from include.emulators.feishu.options import EmulatorError
from include.emulators.oa_store import OaStore

SCHEMA = """
CREATE TABLE IF NOT EXISTS instance (
  number INTEGER PRIMARY KEY, instance_code TEXT NOT NULL UNIQUE, approval_code TEXT NOT NULL, serial_number TEXT NOT NULL,
  person INTEGER NOT NULL, status TEXT NOT NULL, reverted INTEGER NOT NULL, approved_once INTEGER NOT NULL,
  start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL, form TEXT NOT NULL, truth TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS instance_by_time ON instance (approval_code, start_ms, number);
CREATE TABLE IF NOT EXISTS step (
  number INTEGER PRIMARY KEY, instance_code TEXT NOT NULL, kind TEXT NOT NULL, person INTEGER NOT NULL, at_ms INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS step_of_instance ON step (instance_code);
CREATE TABLE IF NOT EXISTS comment (
  number INTEGER PRIMARY KEY, instance_code TEXT NOT NULL, person INTEGER NOT NULL, text TEXT NOT NULL,
  at_ms INTEGER NOT NULL, parent TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS comment_of_instance ON comment (instance_code);
CREATE TABLE IF NOT EXISTS event (
  number INTEGER PRIMARY KEY, uuid TEXT NOT NULL, approval_code TEXT NOT NULL, instance_code TEXT NOT NULL,
  status TEXT NOT NULL, at_ms INTEGER NOT NULL, subscribed INTEGER NOT NULL, delivered_ms INTEGER, attempts INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS subscription (approval_code TEXT PRIMARY KEY, at_ms INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS token (token TEXT PRIMARY KEY, expires_ms INTEGER NOT NULL);
"""


class Store(OaStore):
    """Feishu's instances, events and tokens."""

    schema = SCHEMA
    error = EmulatorError
