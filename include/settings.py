"""Configuration: books (账簿) and sources, as YAML files that are checked whole before anything runs.

`VOUCHERFLOW_CONFIG_DIR` points to another folder than include/config, `VOUCHERFLOW_STORE` to another database.
Layout: `sources/<id>.yaml`, `mappings/<source>/*.yaml`, `books/<id>.yaml`, `rules/<book>/*.yaml`, `tables/<book>/*.csv`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from include.config_files import Day, read_model
from include.domain.changes import Policy
from include.domain.document import DocumentKind
from include.domain.errors import FixConfig
from include.domain.money import AmountError, currency_decimals
from include.form_mappings import FormMapping, read_mappings
from include.pace import MAX_QUEUE_S

DEFAULT_CONFIG_DIR = Path(__file__).parent / "config"
Model = TypeVar("Model", "Source", "Book")
Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Label(_Closed):
    """A name for people, Chinese first."""

    zh: str
    en: str

    def __str__(self) -> str:
        return f"{self.zh} / {self.en}"


class FormRule(_Closed):
    """Which kind of document a form (and, if given, one of its templates) is. The first rule that fits wins."""

    form: str
    template: str = ""
    kind: DocumentKind


class Fields(_Closed):
    """Keys in the OA's forms under which a company keeps what has no standard place."""

    legal_entity: str = "法人实体"
    project: str = "项目"
    supplier: str = "供应商"
    properties: Mapping[str, str] = Field(default_factory=dict)
    """Further fields to carry along for conditions in rules: our name → key in the form."""


class Source(_Closed):
    """An OA or expense system that feeds one or more books."""

    id: Slug
    system: str
    connection: str
    timezone: str = "Asia/Shanghai"
    functional_currency: str = "CNY"
    start: Day
    """Documents changed before this day are never read."""
    overlap_s: int = Field(default=600, ge=0, le=86_400)
    """Every extract reads this far back behind its watermark, for clocks that differ and late commits."""
    forms: Sequence[FormRule] = ()
    """For systems whose forms are fixed; those of free forms come from the mapping files."""
    fields: Fields = Fields()
    options: Mapping[str, Any] = Field(default_factory=dict)
    """Settings of that vendor's adapter alone, checked by it."""
    mappings: Sequence[FormMapping] = Field(default=(), exclude=True)
    """How its free forms are read: the files of mappings/<id>."""
    file: str = Field(default="", exclude=True)

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        return _zone(value)

    @field_validator("functional_currency")
    @classmethod
    def _known_currency(cls, value: str) -> str:
        return _currency(value)

    @property
    def form_types(self) -> tuple[str, ...]:
        """The form types to read, each once."""
        return tuple(dict.fromkeys(rule.form for rule in self.forms))

    def kind_of(self, form_type: str, template_id: str) -> DocumentKind:
        """The kind of a document; UNKNOWN where no rule fits.

        A template matches with or without the minor version that some systems append after a colon.
        """
        for rule in self.forms:
            if rule.form == form_type and rule.template in ("", template_id, template_id.partition(":")[0]):
                return rule.kind
        return DocumentKind.UNKNOWN


class Ledger(_Closed):
    """The accounting system behind a book."""

    system: str
    connection: str
    create_missing: Sequence[str] = ()
    """Kinds of dimension values that may be made in the ledger when it lacks them."""
    calls_per_s: float | None = Field(default=None, gt=0)
    """The vendor's ceiling for this connection: 10, or 1 for "60 a minute". Default: what its adapter knows, or none.
    It counts for each process: books that are posted at the same time over one connection share it out."""
    burst: int = Field(default=1, ge=1)
    """How many calls may go at once after a rest. 1 fits every ledger; else a whole part of the vendor's own count (10,
    20 or 30 of "60 a minute")."""
    workers: int = Field(default=1, ge=1, le=32)
    """How many calls to the ledger may be under way at once."""
    split_calls: int = Field(default=60, ge=3)
    """How many calls may be spent in one run on finding the bad vouchers of a batch that the ledger refused; always enough
    to get down to one."""
    keep_exchanges_days: int = Field(default=180, ge=0, le=36_500)
    """How long the (redacted) texts of requests and answers are kept; their digests stay for ever."""
    options: Mapping[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _turns_come_in_time(self) -> Self:
        if self.calls_per_s is not None:
            queue_s = (self.burst + self.workers) / self.calls_per_s
            if queue_s > MAX_QUEUE_S:
                raise ValueError(
                    f"按 calls_per_s {self.calls_per_s:g}，一次调用要排队 {queue_s:.0f} 秒，最多 {MAX_QUEUE_S:.0f} 秒：请减小 burst 或 "
                    f"workers / at calls_per_s {self.calls_per_s:g} a call would queue for {queue_s:.0f} s, "
                    f"{MAX_QUEUE_S:.0f} s at most: lower burst or workers"
                )
        return self


class ResidueAccount(_Closed):
    """A line of its own for what is left of a split."""

    account: str = Field(min_length=1)
    """A key of the book's accounts.csv."""


class AfterPosting(_Closed):
    """What becomes of vouchers in the ledger whose documents change: by itself, or as a person decides."""

    withdrawn: Literal["ask", "reverse"] = "ask"
    """A document that is withdrawn, deleted, nullified or of another book now."""
    altered: Literal["ask", "replace"] = "ask"
    prior_year: Literal["ask", "blue"] = "ask"
    """Of a year that is closed: a blue correcting voucher, where `withdrawn` or `altered` does not ask."""
    prior_year_account: str = "prior_year_adjustment"
    """The key, in the book's accounts.csv, of the account for profit and loss of prior years."""
    profit_and_loss: Sequence[Annotated[str, Field(min_length=1)]] = ("6",)
    """How the codes of profit and loss accounts begin."""

    @property
    def policy(self) -> Policy:
        return Policy(self.withdrawn, self.altered, self.prior_year)


class Book(_Closed):
    """One legal entity's ledger in one accounting system, fed by one source."""

    id: Slug
    name: Label
    currency: str
    timezone: str = "Asia/Shanghai"
    source: Slug
    legal_entities: Sequence[str] = Field(min_length=1)
    """Codes (or ids) of the OA's legal entities whose documents belong here."""
    receives_unassigned: bool = False
    """Whether documents that fit no book are quarantined here; one book of each source must say yes."""
    ledger: Ledger
    voucher_date: Literal["approved", "paid", "submitted", "run"] = "approved"
    """Which day a voucher bears; `run`: the day of the run that first finds the document due."""
    closed_period: Literal["hold", "next_open", "ask"] = "hold"
    """What becomes of a voucher whose period is closed: wait until it is open again, move to the next open one, or wait
    for a person's decision."""
    after_posting: AfterPosting = AfterPosting()
    residue: Literal["largest_line", "last_line"] | ResidueAccount = "largest_line"
    """Where the last cents of a split go: of fractions, and of foreign lines converted one by one."""
    owner: str = "finance"
    schedule: str = "0 6 * * *"
    pool_slots: int = Field(default=1, ge=1)
    file: str = Field(default="", exclude=True)

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        return _zone(value)

    @field_validator("currency")
    @classmethod
    def _known_currency(cls, value: str) -> str:
        return _currency(value)


class Settings(_Closed):
    """All configuration of one installation."""

    config_dir: Path
    sources: Mapping[str, Source]
    books: Mapping[str, Book]

    def book(self, book_id: str) -> Book:
        """One book.

        Raises:
            FixConfig: there is none of that id; the message lists those that exist.
        """
        if book_id not in self.books:
            known = "、".join(sorted(self.books)) or "（无 / none）"
            raise FixConfig(
                f"没有账簿 {book_id!r}，现有：{known} / no book {book_id!r}; there is: {known} ({self.config_dir}/books)"
            )
        return self.books[book_id]

    def source_of(self, book: Book) -> Source:
        return self.sources[book.source]

    def books_of(self, source_id: str) -> tuple[Book, ...]:
        """The books fed by a source, by id."""
        return tuple(self.books[k] for k in sorted(self.books) if self.books[k].source == source_id)

    def rules_dir(self, book: Book) -> Path:
        return self.config_dir / "rules" / book.id

    def tables_dir(self, book: Book) -> Path:
        return self.config_dir / "tables" / book.id


def config_dir() -> Path:
    """The configuration folder in force."""
    return Path(os.environ.get("VOUCHERFLOW_CONFIG_DIR") or DEFAULT_CONFIG_DIR)


def store_url() -> str:
    """The store's SQLAlchemy URL in force; a bare path means an SQLite file. Default: voucherflow.db in .run."""
    value = os.environ.get("VOUCHERFLOW_STORE") or ".run/voucherflow.db"
    return value if "://" in value else f"sqlite:///{Path(value).absolute()}"


def load_settings(directory: Path | None = None) -> Settings:
    """Read and check all books and sources.

    Raises:
        FixConfig: everything that is wrong, one line each with file, key and what is allowed.
    """
    root = directory or config_dir()
    problems: list[str] = []
    sources = _load_all(root / "sources", Source, problems)
    sources = {key: _with_mappings(source, root, problems) for key, source in sources.items()}
    books = _load_all(root / "books", Book, problems)
    problems += _cross_check(sources, books)
    problems += _check_forms(sources, root)
    if problems:
        raise FixConfig("\n".join(problems))
    return Settings(config_dir=root, sources=sources, books=books)


def load_source(source_id: str, directory: Path | None = None) -> Source:
    """One source alone, without mappings: for drafting the first of them.

    Raises:
        FixConfig: there is no such file, or it is wrong.
    """
    folder = (directory or config_dir()) / "sources"
    path = folder / f"{source_id}.yaml"
    if path not in folder.glob("*.yaml"):
        known = "、".join(sorted(found.stem for found in folder.glob("*.yaml"))) or "-"
        raise FixConfig(f"{path}: 没有来源 {source_id!r}，现有：{known} / no such source; there is: {known}")
    problems: list[str] = []
    read = read_model(path, Source, problems)
    if read is None:
        raise FixConfig("\n".join(problems))
    return read[0].model_copy(update={"file": str(path)})


def _with_mappings(source: Source, root: Path, problems: list[str]) -> Source:
    """The source with its mapping files, whose forms are its forms."""
    mappings = read_mappings(root / "mappings" / source.id, problems)
    rules = [
        FormRule(form=mapping.form, template=template, kind=mapping.kind)
        for mapping in mappings
        for template in mapping.templates
    ]
    return source.model_copy(update={"mappings": mappings, "forms": (*source.forms, *rules)})


def _check_forms(sources: Mapping[str, Source], root: Path) -> Iterable[str]:
    folder = root / "mappings"
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name not in sources:
            known = "、".join(sorted(sources)) or "-"
            yield f"{path}: 没有来源 {path.name!r}，可选：{known} / no source of that name, choose: {known}"
    for source in sources.values():
        has_files = any((folder / source.id).glob("*.yaml"))
        if not source.forms and not has_files:
            yield (
                f"{source.file}: forms: 没有单据类型：在此写明，或为自由表单放入 {folder / source.id}/*.yaml / no forms: name them here, "
                f"or put mappings of free forms into {folder / source.id}"
            )


def _load_all(folder: Path, model: type[Model], problems: list[str]) -> dict[str, Model]:
    loaded: dict[str, Model] = {}
    files = sorted(folder.glob("*.yaml")) if folder.is_dir() else []
    if not files:
        problems.append(f"{folder}: 没有 *.yaml 配置 / no *.yaml file here")
    for path in files:
        read = read_model(path, model, problems)
        if read is None:
            continue
        item = read[0].model_copy(update={"file": str(path)})
        if item.id != path.stem:
            problems.append(
                f"{path}: id {item.id!r} 应与文件名一致 / must equal the file's name {path.stem!r}"
            )
        loaded[item.id] = item
    return loaded


def _cross_check(sources: Mapping[str, Source], books: Mapping[str, Book]) -> list[str]:
    problems = _check_pace(books.values())
    for book in books.values():
        if book.source not in sources:
            known = "、".join(sorted(sources))
            problems.append(
                f"{book.file}: source {book.source!r} 不存在，可选：{known} / unknown source, choose: {known}"
            )
    for source in sources.values():
        fed = [book for book in books.values() if book.source == source.id]
        catching = [book.id for book in fed if book.receives_unassigned]
        if fed and len(catching) != 1:
            problems.append(
                f"{source.file}: 应恰有一个账簿设置 receives_unassigned: true，现有 {len(catching)} 个 / exactly one of its "
                f"books must set receives_unassigned: true, {len(catching)} do: {', '.join(catching) or '-'}"
            )
        owners: dict[str, str] = {}
        for book in fed:
            for entity in book.legal_entities:
                if entity in owners:
                    problems.append(
                        f"{book.file}: 法人实体 {entity!r} 已属于账簿 {owners[entity]!r} / legal entity {entity!r} "
                        f"already belongs to book {owners[entity]!r}"
                    )
                owners[entity] = book.id
    return problems


def _check_pace(books: Iterable[Book]) -> list[str]:
    """Books that share a ledger's connection share its ceiling, so they must agree on it."""
    problems = []
    first: dict[str, Book] = {}
    for book in books:
        other = first.setdefault(book.ledger.connection, book)
        ours, theirs = (f"calls_per_s {x.ledger.calls_per_s}, burst {x.ledger.burst}" for x in (book, other))
        if ours != theirs:
            problems.append(
                f"{book.file}: 连接 {book.ledger.connection!r} 在账簿 {other.id!r} 中为 {theirs}，此处为 {ours}，应当一致 / connection "
                f"{book.ledger.connection!r} has {theirs} in book {other.id!r} and {ours} here: they must be equal"
            )
    return problems


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(
            f"没有时区 {value!r}，例如 Asia/Shanghai / no such time zone, e.g. Asia/Shanghai"
        ) from None
    return value


def _currency(value: str) -> str:
    try:
        currency_decimals(value)
    except AmountError:
        raise ValueError(f"没有币种 {value!r}，例如 CNY / no such ISO 4217 currency, e.g. CNY") from None
    return value
