"""Starting processes and, above all, stopping every one of them with all that they started themselves.

Airflow's components fork workers that outlive a killed parent. Three nets catch them: each process gets a session
of its own, on Linux orphans are handed to this process (PR_SET_CHILD_SUBREAPER) and children die with it
(PR_SET_PDEATHSIG), and stopping goes on until no descendant is left.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from scripts.runner.options import RunError

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
POLL_S = 0.1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def adopt_orphans() -> None:
    """From now on descendants whose parent dies become children of this process (Linux only)."""
    if _LIBC is not None:
        _LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _die_with_parent() -> None:
    """Runs in the child between fork and exec, where only plain system calls are safe."""
    if _LIBC is not None:
        _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


@dataclass
class Supervisor:
    """The processes of one `make run`. Use from one thread.

    Attributes:
        logs: Folder of one log file per process, begun anew on each start.
        cwd: Where processes run.
    """

    logs: Path
    cwd: Path
    services: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    jobs: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    not_ours: frozenset[psutil.Process] = field(
        default_factory=lambda: frozenset(psutil.Process().children(recursive=True)), repr=False
    )
    """Children that were there before: they and theirs are left alone."""

    def start_service(self, name: str, command: Sequence[str], env: Mapping[str, str]) -> None:
        """Start a process that lasts until it is stopped; its output goes to `<logs>/<name>.log`."""
        self.services[name] = self._start(name, command, env)

    def start_job(self, name: str, command: Sequence[str], env: Mapping[str, str]) -> None:
        """Start a process that ends by itself; its output goes to `<logs>/<name>.log`."""
        self.jobs[name] = self._start(name, command, env)

    def _start(self, name: str, command: Sequence[str], env: Mapping[str, str]) -> subprocess.Popen[bytes]:
        with self.log_of(name).open("wb") as log:
            return subprocess.Popen(
                command,
                cwd=self.cwd,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - one thread, and only prctl in the child
            )

    def log_of(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def finish(self, *names: str, timeout_s: float) -> None:
        """Wait until these jobs have ended well.

        Raises:
            RunError: a job failed or took too long, or a service ended meanwhile.
        """
        deadline = time.monotonic() + timeout_s
        for name in names:
            while self.jobs[name].poll() is None:
                self.check()
                if time.monotonic() > deadline:
                    raise RunError(self._too_slow(name, timeout_s))
                time.sleep(POLL_S)
        self.check()

    def wait_until(self, name: str, ready: Callable[[], bool], timeout_s: float) -> None:
        """Wait for a service to answer.

        Raises:
            RunError: it, or another, ended first, or it took too long.
        """
        deadline = time.monotonic() + timeout_s
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise RunError(self._too_slow(name, timeout_s))
            time.sleep(POLL_S)

    def check(self) -> None:
        """Raise RunError if a service has ended or a job has failed."""
        for name, process in self.services.items():
            status = process.poll()
            if status is not None:
                raise RunError(self._obituary(name, status))
        for name, process in self.jobs.items():
            if process.poll():
                raise RunError(self._obituary(name, process.returncode))

    def stop_all(self, grace_s: float = 12.0) -> int:
        """End every process that was started here and every descendant, returning how many had to be killed.

        First the processes themselves are asked, so that each can end its own children in good order; whatever is
        left after half the grace is asked directly, and killed after all of it.
        """
        started = [*self.services.values(), *self.jobs.values()]
        # Seen now, they are not lost when their parent ends first (where orphans cannot be adopted).
        seen = _descendants(psutil.Process(), self.not_ours)
        for process in reversed(started):
            _signal_group(process.pid, signal.SIGTERM)
        for straggler in _await_end(seen, self.not_ours, grace_s / 2):
            _signal_process(straggler, signal.SIGTERM)
        killed: set[int] = set()
        while stragglers := _await_end(seen, self.not_ours, POLL_S if killed else grace_s / 2):
            for straggler in stragglers:
                killed.add(straggler.pid)
                _signal_process(straggler, signal.SIGKILL)
        for process in started:
            process.poll()
        self.services.clear()
        self.jobs.clear()
        return len(killed)

    def _obituary(self, name: str, status: int) -> str:
        return (
            f"{name} 异常退出（状态 {status}），日志：{self.log_of(name)} / {name} ended with status {status}, "
            f"see its log. Last lines:\n{self._tail(name)}"
        )

    def _too_slow(self, name: str, timeout_s: float) -> str:
        return (
            f"{name} 在 {timeout_s:.0f} 秒内没有就绪，日志：{self.log_of(name)} / {name} was not ready within "
            f"{timeout_s:.0f} s, see its log. Last lines:\n{self._tail(name)}"
        )

    def _tail(self, name: str, lines: int = 15) -> str:
        text = self.log_of(name).read_text("utf-8", errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in text[-lines:])


def _descendants(process: psutil.Process, left_out: frozenset[psutil.Process]) -> set[psutil.Process]:
    """All processes below this one, without those left out and what is below them."""
    found: set[psutil.Process] = set()
    try:
        children = process.children()
    except psutil.NoSuchProcess:
        return found
    for child in children:
        if child not in left_out:
            found |= {child} | _descendants(child, left_out)
    return found


def _await_end(
    seen: set[psutil.Process], left_out: frozenset[psutil.Process], timeout_s: float
) -> list[psutil.Process]:
    """Wait until no process of `seen`, nor any later descendant, is alive, at most so long; returns those that are.

    Later descendants are added to `seen`.
    """
    deadline = time.monotonic() + timeout_s
    while (alive := _alive(seen, left_out)) and time.monotonic() < deadline:
        psutil.wait_procs(alive, timeout=POLL_S)
    return alive


def _alive(seen: set[psutil.Process], left_out: frozenset[psutil.Process]) -> list[psutil.Process]:
    """Those that run; zombies do not, and those that are our own children are buried on the way."""
    seen.update(_descendants(psutil.Process(), left_out))
    alive = []
    for process in seen:
        try:
            if process.status() != psutil.STATUS_ZOMBIE:
                alive.append(process)
            elif process.ppid() == os.getpid():
                process.wait(timeout=0)
        except (psutil.NoSuchProcess, psutil.TimeoutExpired):
            continue
    return alive


def _signal_group(pid: int, number: signal.Signals) -> None:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return


def _signal_process(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def free_ports(count: int) -> list[int]:
    """Ports on the loopback address that nobody listens on at this moment, all different."""
    sockets = []
    for _ in range(count):
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        sockets.append(listener)
    ports = [listener.getsockname()[1] for listener in sockets]
    for listener in sockets:
        listener.close()
    return ports


def require_free(port: int) -> None:
    """Raise RunError if someone listens on this loopback port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise RunError(
                f"端口 {port} 已被占用，请换一个：make run PORT={port + 1} / port {port} is taken, "
                f"choose another: make run PORT={port + 1}"
            ) from None
