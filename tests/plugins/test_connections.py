"""Connections as Airflow keeps them, and the adapters they become."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from airflow.plugins_manager import AirflowPlugin
from airflow.sdk import Connection

from include.domain.errors import FixConfig
from include.emulators.hesi import APP_KEY, APP_SECRET, generate_world, running
from include.emulators.kingdee import Credentials
from include.emulators.kingdee import running as running_kingdee
from include.emulators.weaver import APP_ID, Plan, open_world
from include.emulators.weaver import running as running_weaver
from include.settings import DEFAULT_CONFIG_DIR, Book, Ledger, load_settings
from tests.airflow_home import ROOT, SETTINGS
from tests.unit.adapters.feishu_site import SECRET as FEISHU_SECRET
from tests.unit.adapters.feishu_site import running as running_feishu
from voucherflow.hooks.base import endpoint_of, resolve
from voucherflow.hooks.feishu import FeishuHook
from voucherflow.hooks.hesi import HesiHook
from voucherflow.hooks.kingdee import KingdeeHook
from voucherflow.hooks.tryton import TrytonHook
from voucherflow.hooks.weaver import WeaverHook
from voucherflow.provider import get_provider_info

UNREACHABLE = "http://127.0.0.1:9"


def _set(monkeypatch: pytest.MonkeyPatch, name: str, **fields: object) -> None:
    monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(fields))


def test_an_address_is_a_url_or_a_bare_name() -> None:
    whole = Connection(
        conn_id="a", conn_type="hesi", host="http://127.0.0.1:8001/", login="key", password="secret"
    )
    assert endpoint_of(whole).url == "http://127.0.0.1:8001"
    bare = Connection(conn_id="b", conn_type="tryton", host="ledger.example.com", port=8443, schema="books")
    assert endpoint_of(bare).url == "https://ledger.example.com:8443/books"


def test_secrets_stay_out_of_what_is_printed() -> None:
    found = endpoint_of(
        Connection(conn_id="a", conn_type="hesi", host="h", login="key", password="s3cret-value")
    )
    assert found.password == "s3cret-value"
    assert "s3cret-value" not in repr(found)


def test_extra_becomes_text() -> None:
    found = endpoint_of(
        Connection(conn_id="a", conn_type="hesi", host="h", extra='{"timeout_s": 5, "nothing": null}')
    )
    assert found.extra == {"timeout_s": "5"}


def test_a_connection_that_is_not_there_is_a_matter_for_the_engineer() -> None:
    with pytest.raises(FixConfig, match="AIRFLOW_CONN_NOWHERE_KNOWN"):
        resolve("nowhere_known")


def test_a_connection_without_an_address_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, "hesi_default", conn_type="hesi", login="key", password="secret")
    with pytest.raises(FixConfig, match=r"hesi_default.*没有地址"):
        resolve("hesi_default")


def test_a_working_connection_tests_well(monkeypatch: pytest.MonkeyPatch) -> None:
    with running(generate_world(5, 1)) as url:
        _set(monkeypatch, "form", conn_type="hesi", host=url, login=APP_KEY, password=APP_SECRET)
        well, message = HesiHook("form").test_connection()
    assert well, message
    assert message


def test_a_wrong_key_is_told_in_the_form(monkeypatch: pytest.MonkeyPatch) -> None:
    with running(generate_world(5, 1)) as url:
        _set(monkeypatch, "form", conn_type="hesi", host=url, login=APP_KEY, password="not-the-secret")
        well, message = HesiHook("form").test_connection()
    assert not well
    assert " / " in message, "Chinese first, then English"
    assert "not-the-secret" not in message


def test_a_ledger_that_is_down_is_told_in_the_form(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = {"host": UNREACHABLE, "schema": "ledger", "login": "u", "password": "password"}
    _set(monkeypatch, "form", conn_type="tryton", **fields)
    well, message = TrytonHook("form").test_connection()
    assert not well
    assert UNREACHABLE.removeprefix("http://") in message or "form" in message


def test_a_weaver_connection_is_tested_with_the_source_that_uses_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    for part in ("rules", "tables"):
        shutil.copytree(DEFAULT_CONFIG_DIR / part / "acme", config / part / "acme")
    shutil.copytree(DEFAULT_CONFIG_DIR / "examples" / "weaver", config, dirs_exist_ok=True)
    monkeypatch.setenv("VOUCHERFLOW_CONFIG_DIR", str(config))
    with running_weaver(open_world(Plan(documents=20))) as url:
        fields = {"conn_type": "weaver", "host": url, "password": APP_ID}
        _set(monkeypatch, "form", login="9", **fields)
        well, message = WeaverHook("form").test_connection()
        assert well, message
        _set(monkeypatch, "form", login="77777", **fields)
        well, message = WeaverHook("form").test_connection()
    assert not well
    assert "Login" in message
    assert APP_ID not in message


def test_a_feishu_connection_is_tested_with_the_source_that_uses_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    for part in ("rules", "tables"):
        shutil.copytree(DEFAULT_CONFIG_DIR / part / "acme", config / part / "acme")
    shutil.copytree(DEFAULT_CONFIG_DIR / "examples" / "feishu", config, dirs_exist_ok=True)
    monkeypatch.setenv("VOUCHERFLOW_CONFIG_DIR", str(config))
    with running_feishu() as site:
        fields = {"conn_type": "feishu", "host": site.url, "login": "cli_1"}
        _set(monkeypatch, "form", password=FEISHU_SECRET, **fields)
        well, message = FeishuHook("form").test_connection()
        assert well, message
        _set(monkeypatch, "form", password="not-the-secret", **fields)
        well, message = FeishuHook("form").test_connection()
    assert not well
    assert "App Secret" in message
    assert "not-the-secret" not in message


def test_a_kingdee_connection_without_a_book_that_uses_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = {"host": f"{UNREACHABLE}/k3cloud", "login": "webapi", "password": "not-the-secret"}
    _set(monkeypatch, "form", conn_type="kingdee", **fields)
    well, message = KingdeeHook("form").test_connection()
    assert not well
    assert "kingdee" in message
    assert "not-the-secret" not in message


def test_a_kingdee_connection_is_tested_with_the_book_that_uses_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    site, mine = tmp_path / "k3.sqlite", Credentials()
    book = (
        load_settings()
        .book("acme")
        .model_copy(update={"ledger": Ledger(system="kingdee", connection="form", options={"book": "001"})})
    )

    class Configured(KingdeeHook):
        def books(self) -> list[Book]:
            return [book]

    with running_kingdee(site) as (url, _books):
        fields = {"host": f"{url}/k3cloud", "login": mine.user, "password": mine.app_secret}
        extra = {"acct_id": mine.acct_id, "app_id": mine.app_id}
        _set(monkeypatch, "form", conn_type="kingdee", **fields, extra=extra)
        well, message = Configured("form").test_connection()
        assert well, message
        assert "001" in message
        _set(monkeypatch, "form", conn_type="kingdee", **fields, extra=extra | {"acct_id": "another"})
        well, message = Configured("form").test_connection()
    assert not well
    assert "acct_id" in message
    assert mine.app_secret not in message
    assert mine.app_id not in message


def test_the_form_knows_all_connection_types() -> None:
    """Airflow itself, in a process of its own, as the API server would build the connection form."""
    code = (
        "import json; from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService as S; "
        "print(json.dumps({m.connection_type: m.model_dump() for m in S.hook_meta_data()}))"
    )
    env = os.environ | SETTINGS | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'plugins'}"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    forms = json.loads(done.stdout.splitlines()[-1])
    assert forms["hesi"]["hook_name"] == "合思 Hesi"
    assert forms["hesi"]["standard_fields"]["login"]["title"] == "appKey"
    assert forms["hesi"]["standard_fields"]["port"]["hidden"]
    assert forms["kingdee"]["standard_fields"]["password"]["title"] == "应用密钥 app secret"
    assert forms["kingdee"]["extra_fields"]["acct_id"]["schema"]["title"] == "数据中心 acct id"
    assert forms["weaver"]["standard_fields"]["login"]["title"] == "接口用户 id user id"
    assert forms["weaver"]["extra_fields"]["secret"]["schema"]["format"] == "password"
    assert forms["tryton"]["standard_fields"]["url_schema"]["title"] == "数据库 database"


def test_hooks_are_what_the_provider_says() -> None:
    for declared in get_provider_info()["connection-types"]:
        module, _, name = declared["hook-class-name"].rpartition(".")
        hook = getattr(import_module(module), name)
        assert (hook.conn_type, hook.hook_name) == (declared["connection-type"], declared["hook-name"])


def test_every_system_of_the_configuration_has_a_connection_type() -> None:
    settings = load_settings()
    systems = {s.system for s in settings.sources.values()} | {
        b.ledger.system for b in settings.books.values()
    }
    assert systems <= {declared["connection-type"] for declared in get_provider_info()["connection-types"]}


def test_airflow_executes_the_entry_file_alone() -> None:
    """Every other file under plugins/ would run under its bare name and replace modules of that name."""
    from airflow._shared.module_loading import find_path_from_directory

    found = find_path_from_directory(str(ROOT / "plugins"), ".airflowignore")
    assert {Path(path).name for path in found if path.endswith(".py")} == {"voucherflow_plugin.py"}


def test_the_plugin_has_a_name() -> None:
    from voucherflow_plugin import VoucherflowPlugin

    assert issubclass(VoucherflowPlugin, AirflowPlugin)
    assert VoucherflowPlugin.name == "voucherflow"
