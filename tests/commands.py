"""Our commands, and small programs around the package, as processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psutil

from tests.isolation import environment

T = TypeVar("T")
PYTHON = (sys.executable, "-P")
COMMAND = (*PYTHON, "-m", "modelwidgets")
BLOCKED = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
"""Nothing listens there, so no registry but those on loopback is in reach."""
COMPILED = {"PYTHONDONTWRITEBYTECODE": ""}
"""As every user's Python, it keeps what it has compiled, so that the next command is quicker."""
PATIENCE_SECONDS = 20


def run(
    folder: Path, *words: str, typed: str = "", env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """`modelwidgets WORDS` to its end, with `typed` on a standard input that is no terminal."""
    return subprocess.run(
        [*COMMAND, *words],
        env=environment(folder, **{**BLOCKED, **COMPILED, **(env or {})}),
        cwd=folder,
        input=typed,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=2 * PATIENCE_SECONDS,
        check=False,
    )


class Process:
    """A program that goes on while a test looks at it."""

    def __init__(self, folder: Path, command: Sequence[str], env: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            command,
            env=environment(folder, **{**BLOCKED, **COMPILED, **env}),
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self.pid = self._process.pid
        self._family: dict[int, psutil.Process] = {}

    def line(self) -> str:
        """The next line of its output; empty when there is none to come."""
        assert self._process.stdout
        return self._process.stdout.readline().rstrip("\n")

    def json(self) -> Any:
        """The next line, which holds JSON."""
        return json.loads(self.line())

    def family(self) -> list[psutil.Process]:
        """The processes that it started and those that these did, remembered past its end."""
        if psutil.pid_exists(self.pid):
            for child in psutil.Process(self.pid).children(recursive=True):
                self._family[child.pid] = child
        return [child for child in self._family.values() if _runs(child)]

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def end_of_input(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()

    def ended(self, within_seconds: float = PATIENCE_SECONDS) -> tuple[int, str, str]:
        """Its exit code and what it still said, on standard output and standard error."""
        code = self._process.wait(within_seconds)
        assert self._process.stdout
        assert self._process.stderr
        return code, self._process.stdout.read(), self._process.stderr.read()

    def close(self) -> None:
        """End it and what it started, whatever the test came to."""
        family = self.family()
        if self._process.poll() is None:
            self._process.kill()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        self._process.wait()
        for child in family:
            if _runs(child):
                child.kill()


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextmanager
def started(folder: Path, *words: str, **env: str) -> Iterator[Process]:
    """`modelwidgets WORDS`, for as long as the block runs."""
    with program(folder, [*COMMAND, *words], **env) as process:
        yield process


@contextmanager
def program(folder: Path, command: Sequence[str], **env: str) -> Iterator[Process]:
    """Any command, inside `folder`, for as long as the block runs."""
    process = Process(folder, command, env)
    try:
        yield process
    finally:
        process.close()


def eventually(look: Callable[[], T], within_seconds: float = PATIENCE_SECONDS) -> T:
    """What `look` finds, as soon as it finds something."""
    end = time.monotonic() + within_seconds
    while not (found := look()):
        assert time.monotonic() < end, f"not within {within_seconds:g} s"
        time.sleep(0.02)
    return found


def ended(pid: int) -> bool:
    """Whether no such process runs any longer (one that nobody has waited for does not)."""
    return not psutil.pid_exists(pid) or not _runs(psutil.Process(pid))


def end(pid: int) -> None:
    """End a process that a test made start, and see it gone."""
    os.kill(pid, signal.SIGTERM)
    eventually(lambda: ended(pid))
