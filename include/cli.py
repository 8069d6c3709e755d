"""The command line: every stage and tool without Airflow. `main` is given the way to look connections up."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
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
from include.cli_emulate import emulate_app
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
