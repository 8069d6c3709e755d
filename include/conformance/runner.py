"""Runs a suite on the systems of one connector, and says what came of each case."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

from include.domain.errors import FixConfig

FOLDER = Path(__file__).parent
PREFIX = "test_"
MAX_REASON = 400

Open = Callable[[Path], AbstractContextManager[Any]]
"""A function of an empty folder whose context manager gives a `SourceUnderTest` or a `LedgerUnderTest`."""


class Kind(StrEnum):
    """What is connected."""

    SOURCE = "source"
    LEDGER = "ledger"


FIXTURES = {Kind.SOURCE: "oa", Kind.LEDGER: "books"}


class Outcome(StrEnum):
    """What came of a case."""

    PASSED = "passed"
    UNSUPPORTED = "unsupported"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class CaseResult:
    """A case on one system; `reason` says why it is not passed."""

    case: str
    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Conformance:
    """All cases of a suite on one system.

    Attributes:
        connector: the vendor's name in settings.
        variant: one of several ways of being connected, "" where there is one.
        system: `emulator`, or the address of a tenant.
    """

    connector: str
    variant: str
    kind: Kind
    system: str
    cases: Sequence[CaseResult]

    def count(self, outcome: Outcome) -> int:
        return sum(case.outcome is outcome for case in self.cases)


def connectors(kind: Kind) -> Sequence[str]:
    """The vendors of a kind, in alphabetical order."""
    return sorted(module.name for module in pkgutil.iter_modules([str(FOLDER / kind)]))


def kind_of(connector: str) -> Kind:
    """Whether a vendor is a source or a ledger.

    Raises:
        FixConfig: it is neither.
    """
    for kind in Kind:
        if connector in connectors(kind):
            return kind
    known = ", ".join(name for kind in Kind for name in connectors(kind))
    raise FixConfig(f"没有连接器 {connector!r}，可选：{known} / no such connector, choose from {known}")


def run_emulated(connector: str) -> Sequence[Conformance]:
    """The suite on the connector's emulator, once for each way of being connected.

    Raises:
        FixConfig: there is no such connector, or its suite could not be run.
    """
    kind = kind_of(connector)

    def variants() -> Mapping[str, Open]:
        found: Mapping[str, Open] = importlib.import_module(
            f"include.conformance.{kind}.{connector}"
        ).VARIANTS
        return found

    return run(connector, kind, variants, system="emulator")


def run(
    connector: str, kind: Kind, variants: Callable[[], Mapping[str, Open]], *, system: str
) -> Sequence[Conformance]:
    """The suite of a kind on each variant.

    Args:
        connector: the vendor's name.
        kind: which suite.
        variants: gives name → system; called once the suite is loaded, whose words the systems use.
        system: where they run, for the report.

    Raises:
        FixConfig: pytest ran no case.
    """
    if sys.flags.optimize:
        raise FixConfig("请勿以 python -O 运行：用例靠 assert / do not run with python -O: the cases assert")
    recorder = _Recorder(kind, variants)
    suite = FOLDER / f"{kind}_suite.py"
    code = pytest.main(["-c", str(FOLDER / "pytest.ini"), "--rootdir", str(FOLDER), str(suite)], [recorder])
    if code not in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED} or not recorder.results:
        said = "; ".join(recorder.errors) or f"pytest: {pytest.ExitCode(code).name}"
        raise FixConfig(f"{connector}: 一致性用例未能运行 / the cases could not be run: {said}")
    return [
        Conformance(connector, variant, kind, system, _merged(cases))
        for variant, cases in recorder.results.items()
    ]


def _merged(cases: Sequence[CaseResult]) -> Sequence[CaseResult]:
    """One result a case: the worst of what its parameters gave."""
    order = [Outcome.PASSED, Outcome.UNSUPPORTED, Outcome.FAILED]
    found: dict[str, CaseResult] = {}
    for case in cases:
        before = found.get(case.case)
        if before is None or order.index(case.outcome) > order.index(before.outcome):
            found[case.case] = case
    return list(found.values())


@dataclass
class _Recorder:
    """A pytest plugin: gives the suites their systems, and keeps what became of each case."""

    kind: Kind
    open_variants: Callable[[], Mapping[str, Open]]
    results: dict[str, list[CaseResult]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    _variants: Mapping[str, Open] = field(default_factory=dict)

    @pytest.fixture
    def oa(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
        """Each case of a source has a system of its own."""
        with self._variants[request.param](tmp_path) as system:
            yield system

    @pytest.fixture(scope="module")
    def books(
        self, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[Any]:
        """Cases of a ledger share it, and keep apart by their keys."""
        with self._variants[request.param](tmp_path_factory.mktemp("ledger")) as system:
            yield system

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        name = FIXTURES[self.kind]
        if name in metafunc.fixturenames:
            if not self._variants:
                self._variants = self.open_variants()
            metafunc.parametrize(
                name,
                list(self._variants),
                indirect=True,
                scope="function" if self.kind is Kind.SOURCE else "module",
            )

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.errors.append(str(report.longrepr)[-MAX_REASON:])

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Function, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.when == "call" or not report.passed:
            variant = str(item.callspec.params[FIXTURES[self.kind]])
            name = (item.originalname or item.name).removeprefix(PREFIX)
            outcome, reason = _told(report, call)
            self.results.setdefault(variant, []).append(CaseResult(name, outcome, reason))
        return report


def _told(report: pytest.TestReport, call: pytest.CallInfo[None]) -> tuple[Outcome, str]:
    if report.passed:
        return Outcome.PASSED, ""
    error = call.excinfo.value if call.excinfo is not None else None
    reason = " ".join(str(error).split())[:MAX_REASON]
    if report.skipped:
        return Outcome.UNSUPPORTED, reason
    return Outcome.FAILED, f"{type(error).__name__}: {reason}"
