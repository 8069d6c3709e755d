"""Configuration: every mistake is told with its file, its key and what is allowed; all of them at once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from include.domain.document import DocumentKind
from include.domain.errors import FixConfig
from include.settings import DEFAULT_CONFIG_DIR, load_settings

Edit = Callable[[str, str, str], None]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    for folder in ("books", "sources"):
        shutil.copytree(DEFAULT_CONFIG_DIR / folder, tmp_path / folder)
    return tmp_path


@pytest.fixture
def edit(config: Path) -> Edit:
    def replace(file: str, old: str, new: str) -> None:
        path = config / file
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new), "utf-8")

    return replace


def second_book(config: Path, **changes: str) -> None:
    text = (config / "books/acme.yaml").read_text("utf-8").replace("id: acme", "id: other")
    for old, new in {
        "[E01]": "[E02]",
        "receives_unassigned: true": "receives_unassigned: false",
        **changes,
    }.items():
        text = text.replace(old, new)
    (config / "books/other.yaml").write_text(text, "utf-8")


def test_the_example_configurations_are_sound(config: Path) -> None:
    assert load_settings(config).book("acme").currency == "CNY"
    example = load_settings(DEFAULT_CONFIG_DIR / "examples" / "event_log")
    assert example.book("eur").currency == "EUR"


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("books/acme.yaml", "owner: finance", "ownr: finance", ("ownr", "owner")),
        ("books/acme.yaml", "  system: tryton", "  sysname: tryton", ("ledger.sysname", "system")),
        ("books/acme.yaml", "currency: CNY", "currency: RMB", ("currency", "RMB", "CNY")),
        ("books/acme.yaml", "timezone: Asia/Shanghai", "timezone: Shanghai", ("timezone", "Asia/Shanghai")),
        (
            "books/acme.yaml",
            "  system: tryton",
            "  system: tryton\n  calls_per_s: 0.5\n  burst: 30",
            ("ledger", "62 s", "50 s", "lower burst"),
        ),
        (
            "books/acme.yaml",
            "  system: tryton",
            "  system: tryton\n  calls_per_s: 0",
            ("ledger.calls_per_s",),
        ),
        ("books/acme.yaml", "source: hesi", "source: weaver", ("weaver", "hesi")),
        ("books/acme.yaml", "id: acme", "id: acne", ("acne", "acme")),
        (
            "books/acme.yaml",
            "voucher_date: approved",
            "voucher_date: yesterday",
            ("voucher_date", "approved"),
        ),
        ("books/acme.yaml", "legal_entities: [E01]", "legal_entities: []", ("legal_entities",)),
        ("books/acme.yaml", "id: acme", "id: [acme", ("YAML",)),
        ("sources/hesi.yaml", "start: 2025-01-01", "start: soon", ("start",)),
        ("sources/hesi.yaml", "overlap_s: 600", "overlap_s: -1", ("overlap_s",)),
        ("sources/hesi.yaml", "kind: loan", "kind: lend", ("forms.1.kind", "loan")),
        ("sources/hesi.yaml", "  project: 项目", "  projekt: 项目", ("fields.projekt", "project")),
    ],
)
def test_a_mistake_is_named_with_file_key_and_what_is_allowed(
    file: str, old: str, new: str, words: tuple[str, ...], config: Path, edit: Edit
) -> None:
    edit(file, old, new)
    with pytest.raises(FixConfig) as caught:
        load_settings(config)
    message = str(caught.value)
    for word in (Path(file).name, *words):
        assert word in message, message


def test_somebody_must_receive_documents_that_fit_no_book(config: Path, edit: Edit) -> None:
    edit("books/acme.yaml", "receives_unassigned: true", "receives_unassigned: false")
    with pytest.raises(FixConfig, match=r"hesi\.yaml: .*receives_unassigned"):
        load_settings(config)


def test_all_mistakes_are_told_at_once(config: Path, edit: Edit) -> None:
    edit("books/acme.yaml", "owner: finance", "ownr: finance")
    edit("sources/hesi.yaml", "overlap_s: 600", "overlap_s: much")
    with pytest.raises(FixConfig) as caught:
        load_settings(config)
    assert "ownr" in str(caught.value)
    assert "overlap_s" in str(caught.value)


def test_two_books_may_not_claim_one_legal_entity_nor_both_receive_the_rest(config: Path) -> None:
    second_book(config, **{"[E01]": "[E01]", "receives_unassigned: true": "receives_unassigned: true"})
    with pytest.raises(FixConfig) as caught:
        load_settings(config)
    assert "'E01'" in str(caught.value)
    assert "acme, other" in str(caught.value)


def test_several_books_of_one_source(config: Path) -> None:
    second_book(config)
    settings = load_settings(config)
    assert [book.id for book in settings.books_of("hesi")] == ["acme", "other"]


def test_books_that_share_a_ledger_agree_on_its_ceiling(config: Path) -> None:
    second_book(config, **{"  system: tryton": "  system: tryton\n  calls_per_s: 5"})
    with pytest.raises(FixConfig) as caught:
        load_settings(config)
    for word in ("other.yaml", "tryton_default", "calls_per_s 5", "'acme'"):
        assert word in str(caught.value)


def test_an_unknown_book_is_answered_with_those_there_are(config: Path) -> None:
    with pytest.raises(FixConfig, match="acme"):
        load_settings(config).book("akme")


def test_the_first_form_rule_that_fits_tells_the_kind(config: Path) -> None:
    source = load_settings(config).sources["hesi"]
    assert source.kind_of("payment", "SPEC_PREPAYMENT:3f2a") is DocumentKind.PREPAYMENT
    assert source.kind_of("payment", "SPEC_OTHER") is DocumentKind.PAYMENT_REQUEST
    assert source.kind_of("custom", "SPEC_NEW") is DocumentKind.UNKNOWN
    assert source.kind_of("permit", "") is DocumentKind.UNKNOWN


def test_a_folder_without_configuration_says_so(tmp_path: Path) -> None:
    with pytest.raises(FixConfig, match="没有"):
        load_settings(tmp_path)
