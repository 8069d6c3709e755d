"""The command line: every stage and tool without Airflow. `main` is given the way to look connections up."""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from include.cli_attempts import register as register_attempts
from include.cli_common import (
    BookArgument,
    FromOption,
    JsonOption,
    ToOption,
    book_context,
    errors,
    resolver,
    scope_of,
    show,
)
from include.cli_conformance import register as register_conformance
from include.cli_follow import register as register_follow
from include.cli_forms import register as register_forms
from include.cli_periods import register as register_periods
from include.cli_reconcile import register as register_reconcile
from include.cli_rules import rules_app
from include.connections import Resolver
from include.domain.errors import (
    AskPerson,
    FixConfig,
    FixData,
    LeaseLost,
    OutcomeUnknown,
    RetryLater,
    VoucherflowError,
)
from include.domain.problems import Stage
from include.settings import load_settings, store_url
from include.stages.context import Scope, StageContext

EXIT_CODES = {
    FixData: 65,  # EX_DATAERR
    OutcomeUnknown: 70,
    RetryLater: 75,  # EX_TEMPFAIL
    LeaseLost: 75,
    AskPerson: 77,
    FixConfig: 78,  # EX_CONFIG
}
"""Exit codes by what has to happen next, as in sysexits.h."""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="从已审批的单据到会计凭证 / from approved documents to posted vouchers.",
)
store_app = typer.Typer(no_args_is_help=True, help="凭证库 / the store")
ledger_app = typer.Typer(no_args_is_help=True, help="自带的 Tryton 会计系统 / the embedded Tryton ledger")
emulate_app = typer.Typer(no_args_is_help=True, help="仿真系统 / emulated systems")
app.add_typer(store_app, name="store")
app.add_typer(ledger_app, name="ledger")
app.add_typer(emulate_app, name="emulate")
app.add_typer(rules_app, name="rules")
register_reconcile(app)
register_follow(app)
register_forms(app)
register_conformance(app)


def main(resolve: Resolver) -> None:
    """Run the command line with this way of looking connections up; exits the process."""
    resolver[:] = [resolve]
    try:
        app(prog_name="./voucherflow")
    except VoucherflowError as error:
        errors.print(str(error), style="red", markup=False, soft_wrap=True)
        sys.exit(next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), 1))


@app.command()
def run(
    book: BookArgument,
    date_from: FromOption = None,
    date_to: ToOption = None,
    refetch: Annotated[
        bool, typer.Option(help="重新读取 --from 之后的单据 / read documents since --from again")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """全流程：读取、校验、跟进变更、生成、过账、对账、回写 / all stages in order."""
    with book_context(book, quiet=as_json) as ctx:
        scope = scope_of(date_from, date_to)
        results: dict[str, Any] = {}
        for stage in Stage:
            results[stage] = _stages(refetch_from=scope.date_from if refetch else None)[stage](ctx, scope)
        from include.stages.summary import summarise

        summary = summarise(ctx, scope).as_dict()
        show({"stages": results, "summary": summary}, as_json=as_json, rows=summary)


@app.command()
def summary(
    book: BookArgument, date_from: FromOption = None, date_to: ToOption = None, as_json: JsonOption = False
) -> None:
    """账簿现状 / where a book stands."""
    from include.stages.summary import summarise

    with book_context(book, quiet=True) as ctx:
        result = summarise(ctx, scope_of(date_from, date_to)).as_dict()
        show(result, as_json=as_json, rows=result)


def _stage_command(stage: Stage, text: str) -> None:
    def command(
        book: BookArgument,
        date_from: FromOption = None,
        date_to: ToOption = None,
        as_json: JsonOption = False,
    ) -> None:
        with book_context(book, quiet=as_json) as ctx:
            result = _stages()[stage](ctx, scope_of(date_from, date_to))
            show(result, as_json=as_json, rows=result)

    app.command(stage.value.replace("_", "-"), help=text)(command)


_stage_command(Stage.VALIDATE, "质量关 / the quality gate")
_stage_command(Stage.GENERATE, "生成凭证 / make vouchers")
_stage_command(Stage.POST, "过账 / post to the ledger")
_stage_command(Stage.WRITE_BACK, "回写凭证号 / write numbers back")


register_periods(app)
register_attempts(app)


@app.command(Stage.EXTRACT.value)
def extract_command(
    book: BookArgument,
    refetch_from: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"], help="重新读取此日之后变更的单据 / read again what changed since this day"
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """从 OA 读取单据 / read documents from the OA."""
    with book_context(book, quiet=as_json) as ctx:
        refetch = refetch_from.date() if refetch_from else None
        result = _stages(refetch_from=refetch)[Stage.EXTRACT](ctx, Scope())
        show(result, as_json=as_json, rows=result)


@app.command()
def explain(
    document: Annotated[str, typer.Argument(help="单据编号或 ID / document number or id")],
    as_json: JsonOption = False,
) -> None:
    """单据 → 规则 → 分录 → 会计系统 / a document's way into the ledger."""
    from include import explain as explaining
    from include.store.store import using_store

    with using_store(store_url()) as store:
        found = explaining.explain(store, load_settings(), document)
    if as_json:
        show(found, as_json=True, rows={})
    else:
        Console().print(explaining.render(found))


@app.command()
def doctor(book: Annotated[str | None, typer.Argument(help="只查一个账簿 / one book only")] = None) -> None:
    """检查配置、连接、科目表与规则 / check configuration, connections and the chart against the rules."""
    from include.doctor import examine
    from include.store.store import using_store

    settings = load_settings()
    books = [settings.book(book).id] if book else sorted(settings.books)
    console, well = Console(), True
    with using_store(store_url()) as store:
        for finding in examine(settings, store, resolver[0], books):
            well = well and finding.is_well
            console.print(
                f"{'✓' if finding.is_well else '✗'} {finding.subject}: {finding.message}",
                markup=False,
                soft_wrap=True,
            )
    raise typer.Exit(0 if well else 1)


@store_app.command("migrate")
def store_migrate() -> None:
    """建立或升级凭证库结构 / create the store or bring its schema up to date."""
    from include.store.engine import open_engine
    from include.store.migrate import upgrade

    engine = open_engine(store_url())
    typer.echo(f"{engine.url.render_as_string(hide_password=True)}: {upgrade(engine)}")


@store_app.command("verify")
def store_verify() -> None:
    """核验审计链 / check that no audit event was altered."""
    from include.store import audit
    from include.store.engine import reading
    from include.store.store import using_store

    with using_store(store_url()) as store, reading(store.engine) as connection:
        broken = audit.verify(connection)
    if broken is not None:
        raise AskPerson(
            f"审计链在第 {broken} 号事件处断开，该事件或其前一事件被改动 / the audit chain breaks at event {broken}"
        )
    typer.echo("审计链完整 / the audit chain holds")


@ledger_app.command("init")
def ledger_init(
    database: Annotated[Path, typer.Option(help="SQLite 文件 / SQLite file")],
    book: Annotated[str | None, typer.Option(help="账簿（公司与币种）/ the book whose company it is")] = None,
    years: Annotated[
        str, typer.Option(help="会计年度，如 2025,2026；默认自来源起始年至今年 / fiscal years")
    ] = "",
) -> None:
    """建立公司、科目表、会计期间；口令取自 VOUCHERFLOW_LEDGER_PASSWORD / company, chart and periods."""
    from include.embedded.tryton import LedgerSetupError, init_ledger

    settings = load_settings()
    chosen = settings.book(book) if book else _only_tryton_book(settings)
    try:
        report = init_ledger(
            database,
            company_name=chosen.name.zh,
            currency=chosen.currency,
            years=_years(years, settings.source_of(chosen).start),
            password=_secret("VOUCHERFLOW_LEDGER_PASSWORD"),
        )
    except LedgerSetupError as error:
        raise FixConfig(str(error)) from error
    typer.echo(str(report))


@ledger_app.command("serve")
def ledger_serve(
    database: Annotated[Path, typer.Option(help="SQLite 文件 / SQLite file")],
    host: str = "127.0.0.1",
    port: int = 8010,
) -> None:
    """以 HTTP 提供服务，直至 Ctrl-C / serve over HTTP until Ctrl-C."""
    from include.embedded.tryton import LedgerSetupError, serve_ledger

    try:
        serve_ledger(database, host=host, port=port, on_ready=typer.echo)
    except (LedgerSetupError, OSError) as error:
        raise FixConfig(str(error)) from error


@emulate_app.command("hesi")
def emulate_hesi(
    host: str = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0：任选 / any free one")] = 0,
    documents: Annotated[int, typer.Option(min=1, help="生成单据数 / documents to generate")] = 2000,
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

    secret = os.environ.get("VOUCHERFLOW_HESI_SECRET") or secrets.token_urlsafe(24)
    if not os.environ.get("VOUCHERFLOW_HESI_SECRET"):
        typer.echo(f"appKey {app_key}  appSecurity {secret}")
    try:
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
            admin_key=os.environ.get("VOUCHERFLOW_EMULATOR_ADMIN_KEY") or None,
            state=state,
            on_ready=typer.echo,
        )
    except (EmulatorError, ValueError) as error:
        raise FixConfig(str(error)) from error
    except OSError as error:
        raise FixConfig(f"无法监听 {host}:{port} / cannot listen there: {error.strerror}") from error


@emulate_app.command("kingdee")
def emulate_kingdee(
    data: Annotated[Path, typer.Option(help="账簿文件，不存在则新建 / file of the books, made if missing")],
    host: str = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0：任选 / any free one")] = 0,
    seed: Annotated[Path | None, typer.Option(help="初始数据 JSON / what a new file is filled with")] = None,
    options: Annotated[
        str, typer.Option(help="开关，JSON 对象，见其 README / switches as a JSON object, see its README")
    ] = "{}",
) -> None:
    """金蝶云星空仿真站点；密钥取自 VOUCHERFLOW_KINGDEE_SECRET，未设则随机 / an emulated Kingdee site over HTTP."""
    from include.emulators.kingdee import Credentials, Options, company, serve
    from include.emulators.ledger_schema import read_seed

    secret = os.environ.get("VOUCHERFLOW_KINGDEE_SECRET") or secrets.token_urlsafe(24)
    mine = replace(Credentials(), app_secret=secret, password=secrets.token_urlsafe(24))
    shown = "" if os.environ.get("VOUCHERFLOW_KINGDEE_SECRET") else f"  app secret {secret}"
    typer.echo(f"acct_id {mine.acct_id}  user {mine.user}  app_id {mine.app_id}{shown}")
    try:
        serve(
            data,
            host=host,
            port=port,
            seed=read_seed(seed, company()) if seed else None,
            credentials=mine,
            options=Options().changed(json.loads(options)),
            admin_key=os.environ.get("VOUCHERFLOW_EMULATOR_ADMIN_KEY") or None,
            on_ready=typer.echo,
        )
    except (ValueError, sqlite3.DatabaseError) as error:
        raise FixConfig(str(error)) from error
    except OSError as error:
        raise FixConfig(f"无法监听 {host}:{port} / cannot listen there: {error.strerror}") from error


@emulate_app.command("weaver")
def emulate_weaver(
    data: Annotated[
        Path | None, typer.Option(help="SQLite 数据文件，缺省在内存 / data file, by default memory")
    ] = None,
    host: str = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0：任选 / any free one")] = 0,
    documents: Annotated[int, typer.Option(min=1, help="生成单据数 / documents to generate")] = 300,
    seed: int = 1,
    options: Annotated[
        str, typer.Option(help="开关，JSON 对象，见其 README / switches as a JSON object, see its README")
    ] = "{}",
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
    try:
        serve(
            open_world(Plan(documents=documents, seed=seed), Options().changed(json.loads(options)), data),
            host=host,
            port=port,
            admin_key=os.environ.get("VOUCHERFLOW_EMULATOR_ADMIN_KEY") or None,
            on_ready=typer.echo,
        )
    except (EmulatorError, ValueError) as error:
        raise FixConfig(str(error)) from error
    except OSError as error:
        raise FixConfig(f"无法监听 {host}:{port} / cannot listen there: {error.strerror}") from error


def _stages(*, refetch_from: date | None = None) -> dict[Stage, Callable[[StageContext, Scope], Any]]:
    """The stages, imported only now: together they cost seconds."""
    from include.stages.extract import extract
    from include.stages.follow import follow
    from include.stages.generate import generate
    from include.stages.post import post
    from include.stages.reconcile import reconcile
    from include.stages.validate import validate
    from include.stages.write_back import write_back

    return {
        Stage.EXTRACT: lambda ctx, _scope: extract(ctx, refetch_from=refetch_from),
        Stage.VALIDATE: validate,
        Stage.FOLLOW: follow,
        Stage.GENERATE: generate,
        Stage.POST: post,
        Stage.RECONCILE: reconcile,
        Stage.WRITE_BACK: write_back,
    }


def _secret(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise FixConfig(
            f"请在环境变量 {name} 中给出口令 / put the password into the environment variable {name}"
        )
    return value


def _only_tryton_book(settings: Any) -> Any:
    books = [book for book in settings.books.values() if book.ledger.system == "tryton"]
    if len(books) != 1:
        names = "、".join(book.id for book in books) or "-"
        raise FixConfig(f"请用 --book 指明账簿：{names} / say which book with --book: {names}")
    return books[0]


def _years(text: str, start: date) -> tuple[int, ...]:
    if not text:
        return tuple(range(start.year, datetime.now().astimezone().year + 1))
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and len(part) == 4 for part in parts):
        raise FixConfig(f"--years {text!r}: 应写作 2025,2026 / write it as 2025,2026")
    return tuple(int(part) for part in parts)
