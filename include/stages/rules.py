"""Rules in force: those of the folder once they are proved, else the ones that were proved last.

A rule set is taken or refused as a whole. What was ever in force is kept whole in the store, so that old vouchers can be
explained and replayed under the rules that made them.
"""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from zoneinfo import ZoneInfo

from include.domain.errors import FixConfig, RetryLater
from include.ports import MasterRecord
from include.rules import RuleSet, load_rules
from include.rules.check import check, errors
from include.rules.proofs import Finding, Severity
from include.rules.tables import DecisionTable, table_files
from include.stages.context import StageContext
from include.store.rule_sets import RuleSetVersion, StoredRuleSet
from include.store.store import Store

log = logging.getLogger(__name__)

SHOWN = 20
"""Findings in a log; the result carries all."""


@dataclass(frozen=True, slots=True)
class InForce:
    """The rules that hold now. `digest` is what vouchers carry. `refused`: why the folder's rules are not these."""

    ruleset: RuleSet
    version: int
    digest: str
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RuleFolders:
    """Where templates and tables of one rule set stand."""

    rules: Path
    tables: Path

    @classmethod
    def of(cls, ctx: StageContext) -> RuleFolders:
        """The book's own, in its configuration."""
        return cls(ctx.settings.rules_dir(ctx.book), ctx.settings.tables_dir(ctx.book))

    @classmethod
    def below(cls, folder: Path, book: str) -> RuleFolders:
        """Those of a folder that somebody names: a configuration with rules of this book, or rules alone.

        Raises:
            FixConfig: none of the forms that a folder may have.
        """
        forms = [
            cls(folder / "rules" / book, folder / "tables" / book),
            cls(folder / "rules", folder / "tables"),
            cls(folder, folder),
        ]
        for form in forms:
            if any(form.rules.glob("*.yaml")) and form.tables.is_dir():
                return form
        shown = "；".join(f"{form.rules}/*.yaml + {form.tables}/*.csv|xlsx" for form in forms)
        raise FixConfig(
            f"{folder}: 没有账簿 {book} 的规则，应为以下之一：{shown} / no rules of book {book} here, one of these is expected"
        )

    def files(self) -> dict[str, bytes]:
        """All that a rule set is made of: `rules/expense.yaml`, `tables/accounts.csv` … and their content."""
        problems: list[str] = []
        paths = {f"rules/{path.name}": path for path in sorted(self.rules.glob("*.yaml"))}
        paths |= {f"tables/{path.name}": path for path in table_files(self.tables, problems).values()}
        if problems:
            raise FixConfig("\n".join(problems))
        try:
            return {name: path.read_bytes() for name, path in paths.items()}
        except OSError as error:
            raise FixConfig(f"{error.filename}: 无法读取 / cannot be read: {error.strerror}") from None


def rules_in_force(ctx: StageContext) -> InForce:
    """The book's rules that hold now.

    Rules of the folder that differ from those in force are proved first, against the ledger's chart too. If they pass
    they become the next version; if not, they are refused as a whole, and the version before stays in force.

    Raises:
        FixConfig: the folder's rules are wrong and nothing was ever in force.
        RetryLater: the store or the ledger's chart cannot be read, or a file was changed meanwhile.
    """
    folders = RuleFolders.of(ctx)
    before = ctx.store.rule_sets.in_force(ctx.book.id)
    try:
        ruleset = load_rules(folders.rules, folders.tables)
    except FixConfig as error:
        return _refused(ctx, before, tuple(str(error).splitlines()))
    if before is not None and before.digest == ruleset.digest:
        return InForce(ruleset, before.version, before.digest)
    found = check(ruleset, ctx.book, chart=ctx.ledger.chart(), kinds=_kinds(ctx))
    refusals = tuple(str(each) for each in errors(found))
    if refusals:
        return _refused(ctx, before, refusals)
    files = folders.files()
    if _loaded(files, folders, ctx.book.id).digest != ruleset.digest:
        raise RetryLater(
            f"{folders.rules}: 读取时规则文件被修改，请再运行一次 / rule files were changed while they were read: run again"
        )
    now = ctx.store.rule_sets.put_in_force(
        ctx.book.id, ruleset.digest, files, ctx.actor, before.version if before else 0
    )
    if now.digest != ruleset.digest:
        raise RetryLater(
            f"另一次运行刚刚启用了规则第 {now.version} 版，请再运行一次 / another run put version {now.version} in force just now: "
            "run again"
        )
    log.info(
        "规则第 %d 版（%s）开始生效 / rules version %d in force",
        now.version,
        now.digest[:12],
        now.version,
    )
    return InForce(ruleset, now.version, now.digest)


def is_current(ctx: StageContext) -> bool:
    """Whether the folder says what the rules in force say. If not they were refused, or nothing ran since they changed."""
    folders = RuleFolders.of(ctx)
    in_force = ctx.store.rule_sets.in_force(ctx.book.id)
    try:
        digest = load_rules(folders.rules, folders.tables).digest
    except FixConfig:
        return False
    return in_force is not None and in_force.digest == digest


def check_folder(ctx: StageContext, folder: Path | None = None, *, offline: bool = False) -> list[Finding]:
    """Everything that is wrong with the book's rules, or with those of another folder.

    They are held against the ledger's chart and the OA's master data as these are now; `offline` leaves both out. What
    cannot be read is a finding too.

    Raises:
        FixConfig: the folder has no rules.
        RetryLater: the ledger or the OA cannot be read.
    """
    folders = RuleFolders.below(folder, ctx.book.id) if folder else RuleFolders.of(ctx)
    try:
        ruleset = load_rules(folders.rules, folders.tables)
    except FixConfig as error:
        return [_unreadable(line) for line in str(error).splitlines()]
    if offline:
        return check(ruleset, ctx.book, kinds=_kinds(ctx))
    master: dict[str, list[MasterRecord]] = {}
    for record in ctx.source.master_data():
        master.setdefault(record.kind, []).append(record)
    today = ctx.clock.now().astimezone(ZoneInfo(ctx.book.timezone)).date()
    return check(ruleset, ctx.book, chart=ctx.ledger.chart(), kinds=_kinds(ctx), master=master, day=today)


def _kinds(ctx: StageContext) -> list[str]:
    """The kinds of documents that the book's source sends."""
    return sorted({form.kind.value for form in ctx.source_config.forms})


_PLACE = re.compile(r"^(?P<file>.+?)(?::(?P<line>\d+)| 第 (?P<row>\d+) 行)?: (?P<what>.*)$")


def _unreadable(message: str) -> Finding:
    """A mistake that reading rules found, `file:12: …` or `file 第 12 行: …`, as a finding."""
    match = _PLACE.match(message)
    if match is None:
        return Finding("rules.unreadable", Severity.ERROR, "", 0, message, "")
    zh, _, en = match["what"].partition(" / ")
    file = "/".join(Path(match["file"]).parts[-3:])
    return Finding("rules.unreadable", Severity.ERROR, file, int(match["line"] or match["row"] or 0), zh, en)


def restore(store: Store, book: str, which: int | str, folders: RuleFolders | None = None) -> RuleSet | None:
    """The rule set of a version or a digest, as it was; None where none such was ever in force.

    `folders` is where its files are said to be, in messages; the book's own by default, without their root.

    Raises:
        FixConfig: it was kept, but this version of the program does not take it any more.
    """
    stored = store.rule_sets.find(book, which)
    if stored is None:
        return None
    return _restored(stored, folders or RuleFolders(Path("rules") / book, Path("tables") / book))


def _refused(ctx: StageContext, before: RuleSetVersion | None, refusals: tuple[str, ...]) -> InForce:
    """What stays in force, with the reasons why the folder's rules do not come."""
    if before is None:
        raise FixConfig("\n".join(refusals))
    for message in refusals[:SHOWN]:
        log.error("%s", message)
    log.error(
        "规则文件有 %d 处错误，整套不启用，第 %d 版（%s）继续有效；改正后运行 ./voucherflow rules check %s / the rules in the folder have %d "
        "mistakes and are refused as a whole, version %d stays in force",
        len(refusals),
        before.version,
        before.digest[:12],
        ctx.book.id,
        len(refusals),
        before.version,
    )
    stored = ctx.store.rule_sets.find(ctx.book.id, before.version)
    if stored is None:
        raise AssertionError("a version was listed, and the table is append-only")
    return InForce(_restored(stored, RuleFolders.of(ctx)), before.version, before.digest, refusals)


def _restored(stored: StoredRuleSet, folders: RuleFolders) -> RuleSet:
    try:
        return _loaded(stored.files, folders, stored.of.book)
    except FixConfig as error:
        raise FixConfig(
            f"规则第 {stored.of.version} 版已不能读取 / rules version {stored.of.version} cannot be read any more:\n{error}"
        ) from error


def _loaded(files: Mapping[str, bytes], folders: RuleFolders, book: str) -> RuleSet:
    """A rule set out of its files' contents, said to stand in `folders`."""
    with tempfile.TemporaryDirectory(prefix="voucherflow-rules-") as root:
        places = RuleFolders(Path(root) / "rules" / book, Path(root) / "tables" / book)
        for place in (places.rules, places.tables):
            place.mkdir(parents=True)
        for name, content in files.items():
            kind, _, file = name.partition("/")
            (places.rules if kind == "rules" else places.tables).joinpath(file).write_bytes(content)
        ruleset = load_rules(places.rules, places.tables)
    return _moved(ruleset, folders)


def _moved(ruleset: RuleSet, folders: RuleFolders) -> RuleSet:
    """The same rules with the paths of other folders, for messages and traces."""

    def there(table: DecisionTable) -> DecisionTable:
        return replace(table, file=str(folders.tables / table.file_name))

    return replace(
        ruleset,
        rules_dir=folders.rules,
        tables_dir=folders.tables,
        tables={name: there(table) for name, table in ruleset.tables.items()},
        input_vat=there(ruleset.input_vat) if ruleset.input_vat else None,
    )
