"""docs/add-a-vendor.md, done to the letter in a copy of the project: the new vendor conforms, and nothing else was touched."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "add-a-vendor.md"
EXAMPLE = ROOT / "docs" / "examples" / "toy-vendor"
PARTS = ("include", "plugins", "pyproject.toml")
STEP = re.compile(r"<!-- (edit|replace): (\S+) \| (.+?)( \| before)? -->\n```\w+\n(.*?)```", re.DOTALL)


def steps() -> list[tuple[str, str, str, bool, str]]:
    """(edit or replace, file, the text where, before it or below, what to write)."""
    found = STEP.findall(GUIDE.read_text("utf-8"))
    return [(kind, file, where, bool(before), text) for kind, file, where, before, text in found]


def do(project: Path, kind: str, file: str, where: str, before: bool, text: str) -> None:
    path = project / file
    old = path.read_text("utf-8")
    if kind == "replace":
        assert old.count(where) == 1, f"{file}: {where!r} stands there {old.count(where)} times"
        path.write_text(old.replace(where, text.rstrip("\n")), "utf-8")
        return
    lines = old.splitlines(keepends=True)
    places = [
        number
        for number, line in enumerate(lines)
        if (line.startswith(where[1:]) if where.startswith("^") else where in line)
    ]
    assert len(places) == 1, f"{file}: {where!r} stands in {len(places)} lines"
    lines.insert(places[0] + (not before), text)
    path.write_text("".join(lines), "utf-8")


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for part in PARTS
        for path in ((folder / part).rglob("*") if (folder / part).is_dir() else [folder / part])
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy with the Toy OA in it."""
    folder = tmp_path_factory.mktemp("copy") / "project"
    folder.mkdir()
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / part)
    before = tree(folder)
    shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True)
    for step in steps():
        do(folder, *step)
    touched = {name for name, content in tree(folder).items() if before.get(name) != content}
    text = GUIDE.read_text("utf-8")
    assert {name for name in touched if name not in text and not _is_listed(name, text)} == set()
    return folder


def _is_listed(name: str, text: str) -> bool:
    """The example's configuration is named by its folder and the names within it."""
    folder = "include/config/examples/toy/"
    return name.startswith(folder) and folder in text and name.removeprefix(folder) in text


def run(project: Path, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        cwd=project,
        env=os.environ | {"PYTHONPATH": f"{project}{os.pathsep}{project / 'plugins'}"} | env,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def test_the_new_vendor_conforms(project: Path, tmp_path: Path) -> None:
    done = run(
        project,
        "-m",
        "voucherflow.command_line",
        "conformance",
        "toy",
        "--json",
        AIRFLOW_HOME=str(tmp_path),
    )

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    report = json.loads(done.stdout)
    assert (report["failed"], report["unsupported"]) == (0, 0)
    (toy,) = report["connectors"]
    assert toy["connector"] == "toy"
    assert len(toy["cases"]) == report["passed"] > 25


def test_an_adapter_that_misreads_fails_by_name(project: Path, tmp_path: Path) -> None:
    """A claim that was taken back after its approval stays due: it would be posted, and never reversed."""
    broken = tmp_path / "project"
    shutil.copytree(project, broken)
    mapping = broken / "include" / "adapters" / "oa" / "toy" / "mapping.py"
    text = mapping.read_text("utf-8")
    mapping.write_text(text.replace("DocumentStatus.NULLIFIED", "DocumentStatus.APPROVED"), "utf-8")

    done = run(
        broken, "-m", "voucherflow.command_line", "conformance", "toy", AIRFLOW_HOME=str(tmp_path / "home")
    )

    assert done.returncode == 1
    (failed,) = [line for line in done.stdout.splitlines() if line.startswith("✗ toy ·")]
    assert "批准后撤销的不再入账" in failed
    assert "Traceback" not in done.stdout + done.stderr


def test_its_connection_type_is_known(project: Path, tmp_path: Path) -> None:
    code = (
        "from voucherflow.provider import get_provider_info as info\n"
        "from voucherflow.hooks.toy import ToyHook\n"
        "names = [each['connection-type'] for each in info()['connection-types']]\n"
        "ok, message = ToyHook().test_connection()\n"
        "print(names.count(ToyHook.conn_type), ok, message)\n"
    )
    done = run(project, "-c", code, AIRFLOW_HOME=str(tmp_path))

    assert done.returncode == 0, done.stderr[-3000:]
    said = done.stdout.strip().splitlines()[-1]
    assert said.startswith("1 False ")
    assert "toy" in said
