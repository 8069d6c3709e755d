"""Bring `.venv` to the state of a lock file. Standard library only: it runs before anything is installed.

    python3 scripts/install.py requirements.txt

A stamp in `.venv` holds the digest of each lock that is installed, so a second call costs nothing.
uv does the work where it can reach the package index (about five times as fast); otherwise pip does.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"


def locked_version(lock: Path, package: str) -> str | None:
    """The version of `package` that the lock pins, or None."""
    for line in lock.read_text(encoding="utf-8").splitlines():
        name, separator, rest = line.partition("==")
        if separator and name.strip() == package:
            return rest.split(";")[0].strip()
    return None


def stamp_is_current(stamp: Path, digest: str) -> bool:
    """Whether `.venv` exists and was last installed from a lock with this digest."""
    return VENV_PYTHON.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == digest


def pip_setting(name: str) -> str | None:
    """A value of pip's own configuration (`index-url`, `extra-index-url`), which uv does not read."""
    found = subprocess.run(
        [VENV_PYTHON, "-m", "pip", "config", "get", f"global.{name}"],
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() or None if found.returncode == 0 else None


def install_with_uv(lock: Path) -> bool:
    """Install the lock with uv; False if uv could not be installed or could not finish."""
    version = locked_version(ROOT / "requirements-dev.txt", "uv")
    requirement = f"uv=={version}" if version else "uv"
    got_uv = subprocess.run(
        [VENV_PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", requirement],
        check=False,
    )
    if got_uv.returncode:
        return False
    env = os.environ | {"VIRTUAL_ENV": str(VENV)}
    for setting, variable in (("index-url", "UV_DEFAULT_INDEX"), ("extra-index-url", "UV_INDEX")):
        value = os.environ.get(f"PIP_{setting.replace('-', '_').upper()}") or pip_setting(setting)
        if value and variable not in env:
            env[variable] = value
    command = [str(VENV / "bin" / "uv"), "pip", "install", "--quiet", "--index-strategy", "unsafe-best-match"]
    return subprocess.run([*command, "-r", str(lock)], env=env, check=False).returncode == 0


def install_with_pip(lock: Path) -> bool:
    """Install the lock with pip; False if that fails, with pip's own words on standard error."""
    command = [
        str(VENV_PYTHON),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "-r",
        str(lock),
    ]
    return subprocess.run(command, check=False).returncode == 0


def main(lock_name: str) -> int:
    """Install `lock_name` into `.venv` unless its stamp says that it is there. Returns an exit status."""
    lock = ROOT / lock_name
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    stamp = VENV / f"{lock.stem}.sha256"
    if stamp_is_current(stamp, digest):
        return 0
    print(f"安装依赖 / installing {lock_name} into .venv ...", flush=True)
    if not VENV_PYTHON.exists():
        try:
            venv.create(VENV, with_pip=True, clear=True)
        except subprocess.CalledProcessError:
            print(
                "无法创建虚拟环境：请安装 Python 的 venv 与 ensurepip（Debian：python3-venv）/ "
                "cannot make a virtual environment: install Python's venv and ensurepip (Debian: python3-venv).",
                file=sys.stderr,
            )
            return 1
    if not (install_with_uv(lock) or install_with_pip(lock)):
        print(
            f"依赖安装失败：请检查到软件包索引的网络与 pip 配置，然后重试 / installing {lock_name} failed: "
            "check the network to the package index and pip's configuration, then run the same command again.",
            file=sys.stderr,
        )
        return 1
    stamp.write_text(digest, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
