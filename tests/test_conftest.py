"""The net under all tests holds: each case runs a pytest of its own on a small file."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.isolation import OUTSIDE

HERE = Path(__file__).parent


def run_pytest(folder: Path, test: str, *, ci: bool = False, allowed: str = "") -> str:
    """What pytest prints for the file `test` under our conftest."""
    shutil.copy(HERE / "conftest.py", folder)
    (folder / "allowed_skips.txt").write_text(allowed)
    (folder / "test_it.py").write_text(test)
    (folder / "pytest.ini").write_text(
        f"""[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
pythonpath = {HERE.parent}
"""
    )
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "pytest_asyncio.plugin"]
    done = subprocess.run(
        command,
        cwd=folder,
        env=OUTSIDE | {"CI": "true" if ci else "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout


def test_what_a_test_leaves_behind_fails_it(tmp_path: Path) -> None:
    """A thread, work on our own loop, and a task of ours each fail the test that left it."""
    said = run_pytest(
        tmp_path,
        """
import asyncio, threading
from modelwidgets.clock import Clock
from modelwidgets.loop import own_loop

def test_thread():
    threading.Thread(target=threading.Event().wait, name="modelwidgets x", daemon=True).start()

def test_work():
    own_loop().submit(asyncio.sleep(60), "nap")

async def test_task():
    global task
    task = asyncio.create_task(Clock().sleep(60))

async def test_clean():
    await own_loop().submit(asyncio.sleep(0), "nap")
""",
    )

    assert "the test left threads behind: ['modelwidgets x']" in said
    assert "the test left work on our loop: ['sleep" in said
    assert "the test left tasks behind: ['Clock.sleep" in said
    assert "4 passed" in said  # the tests themselves; the errors come from looking afterwards


def test_a_test_reaches_this_machine_only(tmp_path: Path) -> None:
    """A connection to another machine is refused before a packet is sent."""
    said = run_pytest(
        tmp_path,
        """
import socket

def test_out():
    socket.create_connection(("192.0.2.1", 80), timeout=0.01)
""",
    )

    assert "a test tried to connect to 192.0.2.1" in said
    assert "1 failed" in said


def test_a_skip_under_ci_needs_a_listed_reason(tmp_path: Path) -> None:
    """Under CI a skip fails, single or of a whole file, unless its reason is listed."""
    single = "import pytest\n\ndef test_it():\n    pytest.skip('no moon')\n"
    whole = "import pytest\n\npytest.skip('no sun', allow_module_level=True)\n"

    said = [
        run_pytest(tmp_path, single),
        run_pytest(tmp_path, single, ci=True),
        run_pytest(tmp_path, single, ci=True, allowed="# moonless\nno moon\n"),
        run_pytest(tmp_path, whole, ci=True),
    ]

    assert "1 skipped" in said[0]
    assert "1 failed" in said[1]
    assert "does not stand in tests/allowed_skips.txt: no moon" in said[1]
    assert "1 skipped" in said[2]
    assert "1 error" in said[3]
    assert "no sun" in said[3]
