"""`./voucherflow conformance`: do the connectors keep the rules, on their emulators or on a customer's test tenant."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich.console import Console

from include.cli_common import FromOption, JsonOption, errors, resolver
from include.connections import Endpoint
from include.domain.errors import FixConfig
from include.ports import SystemClock
from include.settings import load_settings

if TYPE_CHECKING:
    from include.conformance.runner import Conformance


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("conformance")
    def conformance_command(
        vendor: Annotated[
            str | None, typer.Argument(help="连接器，如 kingdee / a connector, such as kingdee")
        ] = None,
        every: Annotated[bool, typer.Option("--all", help="全部连接器 / all connectors")] = False,
        source: Annotated[
            str, typer.Option(help="改用此来源的真实系统，只读 / run on this source's system, reading only")
        ] = "",
        book: Annotated[
            str, typer.Option(help="改用此账簿的测试账套，会记账 / run on this book's ledger, which posts")
        ] = "",
        url: Annotated[
            str, typer.Option(help="测试系统地址，替换连接中的 / address instead of the connection's")
        ] = "",
        sample: Annotated[
            Path | None,
            typer.Option(
                help="测试账套的科目、辅助核算与日期（YAML）/ accounts, values and day of the test ledger"
            ),
        ] = None,
        date_from: FromOption = None,
        as_markdown: Annotated[
            bool, typer.Option("--markdown", help="以 Markdown 输出 / print Markdown")
        ] = False,
        as_json: JsonOption = False,
    ) -> None:
        """一致性用例：连接器 × 用例，逐项通过或注明不支持的原因 / every case passed, or unsupported and why."""
        if every == (vendor is not None):
            raise FixConfig(
                "请给出一个连接器，或用 --all / name a connector, or say --all:\n"
                "  ./voucherflow conformance kingdee\n  ./voucherflow conformance --all"
            )
        if every and (source or book or url or sample):
            raise FixConfig("--all 只在仿真系统上运行 / --all runs on emulators alone")
        if source or book or url:
            results = _on_tenant(str(vendor), source, book, url, sample, date_from)
        else:
            results = _on_emulators(vendor)
        _show(results, as_json=as_json, as_markdown=as_markdown)


def _on_emulators(vendor: str | None) -> Sequence[Conformance]:
    from include.conformance.runner import Kind, Outcome, connectors, run_emulated

    names = [vendor] if vendor else [name for kind in Kind for name in connectors(kind)]
    results: list[Conformance] = []
    for name in names:
        found = run_emulated(name)
        results += found
        failed = sum(each.count(Outcome.FAILED) for each in found)
        cases = sum(len(each.cases) for each in found)
        errors.print(f"{'✗' if failed else '✓'} {name}: {cases} 项用例 / cases", markup=False)
    return results


def _on_tenant(
    vendor: str, source: str, book: str, url: str, sample: Path | None, date_from: datetime | None
) -> Sequence[Conformance]:
    from include.adapters.registry import build_ledger, build_source
    from include.conformance.runner import Kind, kind_of, run

    settings, kind = load_settings(), kind_of(vendor)
    if kind is Kind.SOURCE:
        found = settings.sources.get(source) or _only(vendor, settings.sources.values(), "--source")
        if found.system != vendor:
            raise FixConfig(f"来源 {found.id} 是 {found.system} / the source is {found.system}, not {vendor}")
        endpoint = _at(resolver[0](found.connection), url)

        def sources() -> Any:
            from include.conformance.tenant import source_tenant

            def build() -> Any:
                return build_source(found, endpoint, SystemClock())

            start = datetime.combine(found.start, time.min, ZoneInfo(found.timezone))
            since = start if date_from is None else date_from.replace(tzinfo=start.tzinfo)
            return {"": source_tenant(build, found.form_types, since, endpoint)}

        return run(vendor, kind, sources, system=endpoint.url)
    if sample is None:
        raise FixConfig(
            "在真实账套上运行会记账：请用 --sample 给出测试账套的科目、辅助核算与日期（docs/connectors.md）/ running on a ledger posts "
            "vouchers to it: name the test book's accounts, values and day with --sample (docs/connectors.md)"
        )
    chosen_book = settings.books.get(book) or _only(vendor, settings.books.values(), "--book")
    if chosen_book.ledger.system != vendor:
        raise FixConfig(
            f"账簿 {chosen_book.id} 用 {chosen_book.ledger.system} / the book is kept in {chosen_book.ledger.system}, not {vendor}"
        )
    endpoint = _at(resolver[0](chosen_book.ledger.connection), url)
    from include.conformance.sample import chosen, read_sample

    given = read_sample(sample)
    chosen.append(given)

    def ledgers() -> Any:
        from include.conformance.tenant import ledger_tenant

        return {
            "": ledger_tenant(lambda: build_ledger(chosen_book, endpoint), given.employee_payable, endpoint)
        }

    return run(vendor, kind, ledgers, system=endpoint.url)


def _only(vendor: str, configured: Any, option: str) -> Any:
    """The one source or book of a vendor."""
    found = [each for each in configured if getattr(each, "ledger", each).system == vendor]
    if len(found) != 1:
        names = "、".join(each.id for each in found) or "-"
        raise FixConfig(f"{vendor}: 请用 {option} 指明其一：{names} / say which with {option}: {names}")
    return found[0]


def _at(endpoint: Endpoint, url: str) -> Endpoint:
    return replace(endpoint, url=url.rstrip("/")) if url else endpoint


def _show(results: Sequence[Conformance], *, as_json: bool, as_markdown: bool) -> None:
    from include.conformance import report
    from include.conformance.runner import Outcome

    if as_json:
        sys.stdout.write(json.dumps(report.as_data(results), ensure_ascii=False, indent=2) + "\n")
    elif as_markdown:
        sys.stdout.write(report.markdown(results))
    else:
        console = Console()
        for table in report.tables(results):
            console.print(table)
        for outcome in (Outcome.UNSUPPORTED, Outcome.FAILED):
            for line in report.notes(results, outcome):
                console.print(line, markup=False, soft_wrap=True)
    raise typer.Exit(1 if any(each.count(Outcome.FAILED) for each in results) else 0)
