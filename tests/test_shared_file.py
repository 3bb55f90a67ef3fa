"""A file of several processes: who waits, who gives up, what a reader sees."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from modelwidgets.shared_file import locked, replace

HOLD = """
import sys
from pathlib import Path
from modelwidgets.shared_file import locked
with locked(Path(sys.argv[1]), wait_seconds=0):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "config"
    made.mkdir()
    return made


def holder(path: Path) -> subprocess.Popen[str]:
    """A process that holds the lock until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    return process


def test_another_process_is_kept_out_until_the_holder_ends(folder: Path) -> None:
    """Who asks while it is held gives up after its time, with the file's name in the words."""
    path = folder / "entries.yaml"
    with holder(path) as process:
        with (
            pytest.raises(TimeoutError, match=r"entries\.yaml for more than 0\.1 s"),
            locked(path, wait_seconds=0.1),
        ):
            pass

        process.communicate()
        with locked(path, wait_seconds=5):
            entered = True

    assert entered


def test_a_killed_holder_leaves_no_lock(folder: Path) -> None:
    """The system drops the lock with the process, so nobody has to clean up after a crash."""
    path = folder / "entries.yaml"
    with holder(path) as process:
        process.kill()
        process.wait(10)

        with locked(path, wait_seconds=5):
            entered = True

    assert entered


def test_threads_of_one_process_keep_each_other_out(folder: Path) -> None:
    """Two loops in one kernel are two writers like any others."""
    path, inside, most = folder / "entries.yaml", [], []

    def write() -> None:
        with locked(path, wait_seconds=5):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.01)
            inside.pop()

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert most == [1] * 8


def test_an_exception_inside_frees_the_lock(folder: Path) -> None:
    """A writer that fails does not lock the others out."""
    path = folder / "entries.yaml"
    with pytest.raises(RuntimeError, match="mine"), locked(path, wait_seconds=0):
        raise RuntimeError("mine")

    with locked(path, wait_seconds=0):
        entered = True

    assert entered


def test_a_replaced_file_is_whole_and_nothing_else_stays(folder: Path) -> None:
    """The folder holds the new file and no temporary one."""
    path = folder / "entries.yaml"
    path.write_text("old", encoding="utf-8")

    replace(path, b"new")

    assert path.read_bytes() == b"new"
    assert list(folder.iterdir()) == [path]


def test_a_reader_never_sees_half_a_file(folder: Path) -> None:
    """While one version replaces the other a thousand times, each look finds one of them."""
    path, versions = folder / "entries.yaml", [b"a" * 50_000, b"b" * 70_000]
    replace(path, versions[0])
    seen = set()

    def write() -> None:
        for number in range(60):
            replace(path, versions[number % 2])

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive():
        seen.add(path.read_bytes())
    writer.join()

    assert seen <= set(versions)


def test_what_cannot_be_replaced_stays_as_it_was(folder: Path) -> None:
    """A failure leaves the old content, and no temporary file."""
    path = folder / "entries.yaml"
    path.mkdir()

    with pytest.raises(OSError, match=r"entries\.yaml"):
        replace(path, b"new")

    assert list(folder.iterdir()) == [path]


def test_a_link_stays_a_link(folder: Path) -> None:
    """People keep their settings in a repository and link them into place."""
    kept, path = folder / "dotfiles.yaml", folder / "entries.yaml"
    kept.write_text("old", encoding="utf-8")
    path.symlink_to(kept)

    replace(path, b"new")

    assert path.is_symlink()
    assert kept.read_bytes() == b"new"
