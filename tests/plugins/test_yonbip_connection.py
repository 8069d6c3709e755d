"""The connection type of YonBIP, tested from Airflow's form against the emulated tenant."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from include.emulators.yonbip import Credentials, running
from include.settings import Book, Ledger, load_settings
from voucherflow.hooks.yonbip import YonbipHook

MINE = Credentials()
OPTIONS = {"book": "001", "words": {"记": "1"}, "maker": MINE.maker}


class Configured(YonbipHook):
    """As if a book of the configuration used the connection."""

    def books(self) -> list[Book]:
        ledger = Ledger(system="yonbip", connection="form", options=OPTIONS)
        return [load_settings().book("acme").model_copy(update={"ledger": ledger})]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "001"),
        ({"password": "not-the-secret"}, "appSecret"),
        ({"extra": {"tenant_id": "another"}}, "tenant_id"),
        ({"extra": {}}, "tenant_id"),
    ],
)
def test_the_form_says_what_to_look_at(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    with running(tmp_path / "yonbip.sqlite") as (url, _books):
        fields = {"conn_type": "yonbip", "host": url, "login": MINE.app_key, "password": MINE.app_secret}
        fields |= {"extra": {"tenant_id": MINE.tenant_id}} | changes
        monkeypatch.setenv("AIRFLOW_CONN_FORM", json.dumps(fields))
        well, message = Configured("form").test_connection()
    assert well is not bool(changes), message
    assert said in message
    assert MINE.app_secret not in message
    assert "not-the-secret" not in message
