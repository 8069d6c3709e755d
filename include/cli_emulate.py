"""`./voucherflow emulate`: stand-ins of OA and ledgers in the foreground; each vendor's package is imported on use."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from include.domain.errors import FixConfig

emulate_app = typer.Typer(no_args_is_help=True, help="仿真系统 / emulated systems")

PortOption = Annotated[int, typer.Option(help="0：任选 / any free one")]
BooksOption = Annotated[
    Path, typer.Option(help="账簿文件，不存在则新建 / file of the books, made if missing")
]
DataOption = Annotated[
    Path | None, typer.Option(help="SQLite 数据文件，缺省在内存 / data file, by default memory")
]
SeedOption = Annotated[Path | None, typer.Option(help="初始数据 JSON / what a new file is filled with")]
DocumentsOption = Annotated[int, typer.Option(min=1, help="生成单据数 / documents to generate")]
SwitchesOption = Annotated[
    str, typer.Option(help="开关，JSON 对象，见其 README / switches as a JSON object, see its README")
]


@contextlib.contextmanager
def _refusals(host: str, port: int, *kinds: type[Exception]) -> Iterator[None]:
    """What an emulator cannot start with is a matter of configuration; `kinds` are its own errors."""
    own: tuple[type[Exception], ...] = (ValueError, sqlite3.DatabaseError, *kinds)
    try:
        yield
    except OSError as error:
        raise FixConfig(f"无法监听 {host}:{port} / cannot listen there: {error.strerror}") from error
    except own as error:
        raise FixConfig(str(error)) from error


def _secret(variable: str, label: str) -> tuple[str, str]:
    """The secret of the environment variable, or a random one, and how to show that."""
    given = os.environ.get(variable)
    made = given or secrets.token_urlsafe(24)
    return made, "" if given else f"  {label} {made}"


def _admin_key() -> str | None:
    return os.environ.get("VOUCHERFLOW_EMULATOR_ADMIN_KEY") or None


@emulate_app.command("hesi")
def emulate_hesi(
    host: str = "127.0.0.1",
    port: PortOption = 0,
    documents: DocumentsOption = 2000,
    seed: int = 1,
    year: Annotated[int, typer.Option(help="单据所属年度 / calendar year of the documents")] = 2025,
    dirty_share: Annotated[
        float, typer.Option(min=0, max=1, help="脏单据占已审批单据的比例 / share of dirty documents")
    ] = 0.03,
    events: Annotated[
        Path | None, typer.Option(help="改用真实审批日志 / use event logs of this folder instead")
    ] = None,
    state: Annotated[Path | None, typer.Option(help="保存改动的文件 / file that keeps changes")] = None,
    app_key: str = "voucherflow",
    token_ttl_s: int = 7200,
    fault_seed: int = 0,
    latency_ms: int = 0,
    too_many: Annotated[float, typer.Option(help="429 比例 / share")] = 0.0,
    server_error: Annotated[float, typer.Option(help="5xx 比例 / share")] = 0.0,
    drop_before: Annotated[float, typer.Option(help="处理前断开 / dropped before the change")] = 0.0,
    drop_after: Annotated[float, typer.Option(help="处理后断开 / dropped after the change")] = 0.0,
    truncate: Annotated[float, typer.Option(help="截断响应 / truncated bodies")] = 0.0,
    calls_per_second: Annotated[float, typer.Option(help="超过即 429，0 不限 / ceiling, 0 for none")] = 0.0,
    token_unready_ms: Annotated[
        int, typer.Option(help="新令牌失效时长 / how long a new token is refused")
    ] = 0,
) -> None:
    """合思（易快报）仿真服务；密钥取自 VOUCHERFLOW_HESI_SECRET，未设则随机 / an emulated Hesi over HTTP."""
    from include.emulators.hesi import EmulatorError, Faults, generate_world, load_events, serve

    secret, shown = _secret("VOUCHERFLOW_HESI_SECRET", "appSecurity")
    if shown:
        typer.echo(f"appKey {app_key}{shown}")
    with _refusals(host, port, EmulatorError):
        faults = Faults(
            seed=fault_seed,
            latency_ms=latency_ms,
            too_many=too_many,
            server_error=server_error,
            drop_before=drop_before,
            drop_after=drop_after,
            truncate=truncate,
            calls_per_second=calls_per_second,
            token_unready_ms=token_unready_ms,
        )
        world = (
            load_events(events) if events else generate_world(documents, seed, year, dirty_share=dirty_share)
        )
        serve(
            world,
            host=host,
            port=port,
            app_key=app_key,
            app_secret=secret,
            token_ttl_s=token_ttl_s,
            faults=faults,
            admin_key=_admin_key(),
            state=state,
            on_ready=typer.echo,
        )


@emulate_app.command("kingdee")
def emulate_kingdee(
    data: BooksOption,
    host: str = "127.0.0.1",
    port: PortOption = 0,
    seed: SeedOption = None,
    options: SwitchesOption = "{}",
) -> None:
    """金蝶云星空仿真站点；密钥取自 VOUCHERFLOW_KINGDEE_SECRET，未设则随机 / an emulated Kingdee site over HTTP."""
    from include.emulators.kingdee import Credentials, Options, company, serve
    from include.emulators.ledger_schema import read_seed

    secret, shown = _secret("VOUCHERFLOW_KINGDEE_SECRET", "app secret")
    mine = replace(Credentials(), app_secret=secret, password=secrets.token_urlsafe(24))
    typer.echo(f"acct_id {mine.acct_id}  user {mine.user}  app_id {mine.app_id}{shown}")
    with _refusals(host, port):
        serve(
            data,
            host=host,
            port=port,
            seed=read_seed(seed, company()) if seed else None,
            credentials=mine,
            options=Options().changed(json.loads(options)),
            admin_key=_admin_key(),
            on_ready=typer.echo,
        )


@emulate_app.command("weaver")
def emulate_weaver(
    data: DataOption = None,
    host: str = "127.0.0.1",
    port: PortOption = 0,
    documents: DocumentsOption = 300,
    seed: int = 1,
    options: SwitchesOption = "{}",
) -> None:
    """泛微 e-cology 仿真服务：SOAP 与 E9 REST / an emulated e-cology, SOAP and E9 REST."""
    from include.emulators.weaver import (
        APP_ID,
        INTEGRATION_USER,
        EmulatorError,
        Options,
        Plan,
        open_world,
        serve,
    )

    typer.echo(f"user id {INTEGRATION_USER}  APPID {APP_ID}")
    with _refusals(host, port, EmulatorError):
        serve(
            open_world(Plan(documents=documents, seed=seed), Options().changed(json.loads(options)), data),
            host=host,
            port=port,
            admin_key=_admin_key(),
            on_ready=typer.echo,
        )


@emulate_app.command("nc")
def emulate_nc(
    data: BooksOption,
    host: str = "127.0.0.1",
    port: PortOption = 0,
    seed: SeedOption = None,
    options: SwitchesOption = "{}",
) -> None:
    """用友 NC 外部交换平台仿真站点；视图口令取自 VOUCHERFLOW_NC_VIEW_PASSWORD，未设则随机 / an emulated NC site."""
    from include.emulators.ledger_schema import read_seed
    from include.emulators.nc import Credentials, Options, company, serve

    password, shown = _secret("VOUCHERFLOW_NC_VIEW_PASSWORD", "password")
    mine = Credentials(view_password=password)
    typer.echo(f"views: user {mine.view_user}{shown}")
    with _refusals(host, port):
        serve(
            data,
            host=host,
            port=port,
            seed=read_seed(seed, company()) if seed else None,
            credentials=mine,
            options=Options().changed(json.loads(options)),
            admin_key=_admin_key(),
            on_ready=typer.echo,
        )


@emulate_app.command("yonbip")
def emulate_yonbip(
    data: BooksOption,
    host: str = "127.0.0.1",
    port: PortOption = 0,
    seed: SeedOption = None,
    options: SwitchesOption = "{}",
) -> None:
    """用友 YonBIP 仿真租户；appSecret 取自 VOUCHERFLOW_YONBIP_APP_SECRET，未设则随机 / an emulated YonBIP tenant."""
    from include.emulators.ledger_schema import read_seed
    from include.emulators.yonbip import Credentials, Options, company, serve

    secret, shown = _secret("VOUCHERFLOW_YONBIP_APP_SECRET", "appSecret")
    mine = Credentials(app_secret=secret)
    typer.echo(f"tenant {mine.tenant_id}  appKey {mine.app_key}{shown}  maker {mine.maker}")
    with _refusals(host, port):
        serve(
            data,
            host=host,
            port=port,
            seed=read_seed(seed, company()) if seed else None,
            credentials=mine,
            options=Options().changed(json.loads(options)),
            admin_key=_admin_key(),
            on_ready=typer.echo,
        )


@emulate_app.command("dingtalk")
def emulate_dingtalk(
    data: Annotated[Path, typer.Option(help="数据文件，不存在则新建 / data file, made if missing")],
    host: str = "127.0.0.1",
    port: PortOption = 0,
    documents: DocumentsOption = 100,
    seed: int = 1,
    options: SwitchesOption = "{}",
) -> None:
    """钉钉审批仿真服务；密钥取自 VOUCHERFLOW_DINGTALK_APP_SECRET，未设则随机 / emulated DingTalk approvals."""
    from include.emulators.dingtalk import APP_KEY, Options, Plan, serve

    secret, shown = _secret("VOUCHERFLOW_DINGTALK_APP_SECRET", "appSecret")
    typer.echo(f"appKey {APP_KEY}{shown}")
    with _refusals(host, port):
        serve(
            data,
            host=host,
            port=port,
            plan=Plan(documents, seed),
            options=Options().changed(json.loads(options)),
            app_secret=secret,
            admin_key=_admin_key(),
            on_ready=typer.echo,
        )


@emulate_app.command("feishu")
def emulate_feishu(
    data: DataOption = None,
    host: str = "127.0.0.1",
    port: PortOption = 0,
    documents: DocumentsOption = 300,
    seed: int = 1,
    options: SwitchesOption = "{}",
) -> None:
    """飞书审批仿真服务；密钥取自 VOUCHERFLOW_FEISHU_SECRET，未设则随机 / emulated Feishu approvals."""
    from include.emulators.feishu import APP_ID, EmulatorError, Options, Plan, open_world, serve

    secret, shown = _secret("VOUCHERFLOW_FEISHU_SECRET", "app secret")
    typer.echo(f"app_id {APP_ID}{shown}")
    with _refusals(host, port, EmulatorError):
        serve(
            open_world(Plan(documents=documents, seed=seed), Options().changed(json.loads(options)), data),
            host=host,
            port=port,
            app_secret=secret,
            admin_key=_admin_key(),
            on_ready=typer.echo,
        )
