"""Processes that are measured or measured against, each inside a folder that goes away."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.isolation import environment, inside, is_foreign

ROOT = Path(__file__).parents[2]


def usual(folder: Path) -> dict[str, str]:
    """The environment of a user's Python, which keeps what it has compiled."""
    return environment(folder, PYTHONDONTWRITEBYTECODE="")


def said(program: str, env: dict[str, str], *words: str) -> list[float]:
    """The numbers that a fresh Python prints."""
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        env=env,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [float(word) for word in done.stdout.split()]


def wall_seconds(program: str, env: dict[str, str], *words: str) -> float:
    """How long a user waits for a fresh Python to end."""
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", program, *words],
        env=env,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - began


@contextmanager
def server(folder: Path, *words: str) -> Iterator[str]:
    """The first line of a server that ends with its standard input."""
    process = subprocess.Popen(
        [sys.executable, "-m", *words],
        env=usual(folder),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    try:
        yield process.stdout.readline()
    finally:
        process.stdin.close()
        process.wait(20)
        process.stdout.close()


@contextmanager
def own_folder() -> Iterator[Path]:
    """A folder that keeps this process inside it too, as long as the block lasts."""
    before = dict(os.environ)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for foreign in filter(is_foreign, before):
            del os.environ[foreign]
        os.environ.update(inside(folder))
        try:
            yield folder
        finally:
            os.environ.clear()
            os.environ.update(before)
