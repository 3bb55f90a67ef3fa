"""Gives the notebooks a server: an embedded store with the sample models, in a temporary folder.

A pytest plugin, because nbval runs cells without fixtures:
`pytest -p tests.notebooks.plugin --nbval-lax notebooks`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.isolation import environment

_folder = pytest.StashKey[tempfile.TemporaryDirectory[str]]()
_server = pytest.StashKey["subprocess.Popen[str]"]()


def pytest_sessionstart(session: pytest.Session) -> None:
    folder = tempfile.TemporaryDirectory(prefix="modelwidgets-notebooks-")
    session.stash[_folder] = folder
    env = environment(Path(folder.name))
    command = [sys.executable, "-m", "modelwidgets", "serve", "--json", "--port", "0"]
    command += [
        "--samples",
        "always",
        "--while-stdin",
        "--folder",
        str(Path(folder.name) / "models"),
    ]
    server = subprocess.Popen(
        command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    session.stash[_server] = server
    assert server.stdout is not None
    said = json.loads(server.stdout.readline() or "{}")
    if "url" not in said:
        raise pytest.UsageError(f"the store for the notebooks did not start: {said}")
    os.environ.clear()
    os.environ.update(env, OLLAMA_HOST=said["url"])


def pytest_sessionfinish(session: pytest.Session) -> None:
    server = session.stash.get(_server, None)
    if server is not None:
        server.communicate(timeout=20)
    session.stash[_folder].cleanup()
