"""The ledger's folder: whole files, no trust in what lies there, owners told from later pids."""

from __future__ import annotations

import dataclasses
import errno
import json
import logging
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from modelwidgets.elsewhere import listed, other_of
from modelwidgets.ledger import MOST_ENDED, Ledger
from modelwidgets.ledger_entry import LARGEST_BYTES, LedgerEntry, decode, encode
from modelwidgets.owner import Owner, Processes
from tests.commands import PYTHON
from tests.scripted import PID, PlayedProcesses
from tests.text_records import PULL

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
BLOB = f"sha256:{'a' * 64}"
ID = "0123456789ab"
on_posix = pytest.mark.skipif(os.name != "posix", reason="permissions and links are those of POSIX")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "state" / "pulls", PlayedProcesses())


def owner(**changes: Any) -> Owner:
    me = PlayedProcesses().me("kernel on here")
    return dataclasses.replace(me, **{"pid": PID, "started_seconds": 200.0, **changes})


def entry(name: str = "m:latest", state: str = "running", **changes: Any) -> LedgerEntry:
    of = changes.pop("owner", owner())
    progress: Any = {"name": name, "state": state, **changes}
    return LedgerEntry(
        owner=of,
        ticket=1,
        written_at=NOW,
        progress=dataclasses.replace(PULL, id=ID, **progress),
        kept={BLOB: 7},
        missing={BLOB: 5},
    )


def pull_id(number: int) -> str:
    return f"{number:012x}"


def age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def shown_state(ledger: Ledger) -> list[str]:
    return [pull.state for pull in listed(ledger, NOW)]


def test_what_is_written_is_read(ledger: Ledger) -> None:
    """All but the plan, which is nobody else's business."""
    ledger.write(ID, entry(error="[b] \\u202e <script>"))

    assert ledger.look().entries == {ID: (entry(error="[b] \\u202e <script>"), "alive")}
    assert [path.name for path in ledger.folder.iterdir()] == [f"{ID}.json"]


@on_posix
def test_only_the_user_can_read_it(ledger: Ledger) -> None:
    """Also where the folder was made with other rights before."""
    ledger.folder.mkdir(parents=True, mode=0o755)
    ledger.write(ID, entry())
    ledger.ask_to_stop(ID)

    modes = [path.stat().st_mode & 0o777 for path in (ledger.folder, *ledger.folder.iterdir())]
    assert modes == [0o700, 0o600, 0o600]


def test_no_secret_is_written(ledger: Ledger) -> None:
    """A server quotes addresses that are signed, and some people write logins into them."""
    said = 'Get "https://user:pw@cdn.example/blob?X-Sig=abc&t=1": refused, http://a:b@c/d'
    ledger.write(ID, entry(state="failed", error=said))

    (read, _) = ledger.look().entries[ID]
    assert read.progress.error == 'Get "https://cdn.example/blob": refused, http://c/d'


@pytest.mark.parametrize(
    ("changes", "fate"),
    [
        ({}, "alive"),
        ({"started_seconds": 150.0}, "gone"),
        ({"pid": 4243}, "gone"),
        ({"boot": "another"}, "gone"),
        ({"host": "another"}, "elsewhere"),
    ],
)
def test_an_owner_is_the_process_and_not_the_pid(
    ledger: Ledger, changes: dict[str, Any], fate: str
) -> None:
    """A pid that was given again, or before the last boot, is another process."""
    ledger.write(ID, entry(owner=owner(**changes)))

    assert ledger.look().entries[ID][1] == fate


def test_a_process_is_found_and_its_end_too() -> None:
    """The real ones: this one, one that ended, and one that nobody has waited for yet."""
    processes = Processes()
    me = processes.me("here")
    with subprocess.Popen([*PYTHON, "-c", "input()"], stdin=subprocess.PIPE) as child:
        started = processes.started_seconds(child.pid)
        assert started is not None
        theirs = dataclasses.replace(me, pid=child.pid, started_seconds=started)
        assert [processes.fate(one) for one in (me, theirs)] == ["alive", "alive"]
        child.kill()
        if sys.platform != "win32":  # which has no process left that nobody waited for
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
            assert processes.fate(theirs) == "gone"

    assert processes.fate(theirs) == "gone"


@pytest.mark.parametrize(
    ("unchanged_seconds", "written_before", "state"),
    [
        (50, timedelta(minutes=5), "running"),
        (70, timedelta(0), "interrupted"),
        (0, timedelta(hours=2), "interrupted"),
        (0, timedelta(hours=-2), "running"),
    ],
)
def test_another_host_is_believed_until_it_has_been_silent(
    unchanged_seconds: float, written_before: timedelta, state: str
) -> None:
    """Its processes cannot be seen and its clock may be wrong: only that it writes tells."""
    seen = other_of(entry(), "elsewhere", NOW + written_before, unchanged_seconds)

    assert seen.shown.state == state
    assert seen.shown.owner == (str(owner()) if state == "running" else None)


def test_a_pull_without_its_owner_is_interrupted(ledger: Ledger) -> None:
    """At the bytes where it was, and at no speed."""
    ledger.write(ID, entry(owner=owner(pid=1 << 22)))

    (pull,) = listed(ledger, NOW)
    assert (pull.state, pull.completed_bytes, pull.bytes_per_second) == (
        "interrupted",
        PULL.completed_bytes,
        None,
    )


def rewritten(**changes: Any) -> bytes:
    """An entry with other values, by the path of their keys: `progress__name`."""
    raw = json.loads(encode(entry()))
    for path, value in changes.items():
        *folders, key = path.split("__")
        place = raw
        for folder in folders:
            place = place[folder]
        place[key] = value
    return json.dumps(raw).encode()


HOSTILE: dict[str, bytes] = {
    "empty": b"",
    "cut off": encode(entry())[:200],
    "no JSON": b"\xff\xfe\x00",
    "a list": b"[]",
    "a word": b'"x"',
    "deep": b"[" * 60_000,
    "a long number": b"1" * 60_000,
    "another format": rewritten(format=2),
    "no format": b"{}",
    "a path as its name": rewritten(progress__name="../../etc/passwd"),
    "an array as its name": rewritten(progress__name=["m"]),
    "half a character": rewritten(progress__status="\ud800"),
    "an unknown state": rewritten(progress__state="exploded"),
    "a state that cannot be hashed": rewritten(progress__state={}),
    "bytes below zero": rewritten(progress__completed_bytes=-1),
    "true as bytes": rewritten(progress__completed_bytes=True),
    "bytes as a text": rewritten(progress__total_bytes="1"),
    "too many bytes": rewritten(progress__completed_bytes=1 << 70),
    "infinite speed": rewritten(progress__bytes_per_second=float("inf")),
    "no date": rewritten(progress__created_at="soon"),
    "a date of nowhere": rewritten(progress__created_at="2026-11-22T12:00:00"),
    "a date as a number": rewritten(written_at=12),
    "another scheme": rewritten(progress__url="file:///etc/passwd"),
    "a long viewer": rewritten(owner__viewer="x" * 60_000),
    "an owner without a pid": rewritten(owner__pid=None),
    "layers that are a text": rewritten(kept="x"),
    "layers with paths": rewritten(kept={"../x": 1}),
    "missing layers below zero": rewritten(missing={BLOB: -1}),
    "progress that is none": rewritten(progress=None),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_file_that_is_no_entry_is_left_out_and_logged_once(
    ledger: Ledger, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    """The others are read all the same."""
    ledger.write(pull_id(1), entry())
    (ledger.folder / f"{ID}.json").write_bytes(content)

    with caplog.at_level(logging.WARNING):
        looks = [ledger.look(), ledger.look()]

    assert [list(look.entries) for look in looks] == [[pull_id(1)]] * 2
    assert len(caplog.records) == 1
    assert f"{ID}.json is left out" in caplog.text


@on_posix
def test_what_is_no_file_is_not_opened(ledger: Ledger, tmp_path: Path) -> None:
    """A link, a pipe that nobody fills, a folder, a file as large as a disk, other names."""
    outside = tmp_path / "outside.json"
    outside.write_bytes(encode(entry()))
    ledger.write(pull_id(9), entry())
    ledger._path(pull_id(1)).symlink_to(outside)
    os.mkfifo(ledger._path(pull_id(2)))
    ledger._path(pull_id(3)).mkdir()
    with ledger._path(pull_id(4)).open("wb") as large:
        large.truncate(1 << 40)
    (ledger.folder / "notes.json").write_bytes(encode(entry()))
    (ledger.folder / f"{ID}.json.json").write_bytes(encode(entry()))

    assert list(ledger.look().entries) == [pull_id(9)]
    ledger.write(pull_id(1), entry(name="n"))
    assert outside.read_bytes() == encode(entry())
    assert decode(ledger._path(pull_id(1)).read_bytes(), ID).progress.name == "n:latest"


@on_posix
def test_a_request_does_not_follow_a_link(ledger: Ledger, tmp_path: Path) -> None:
    """It is refused, and the file outside stays as it was."""
    ledger.write(ID, entry())
    (ledger.folder / f"{ID}.stop").symlink_to(tmp_path / "made")

    with pytest.raises(OSError, match="symbolic links") as refused:
        ledger.ask_to_stop(ID)

    assert refused.value.errno == errno.ELOOP
    assert not (tmp_path / "made").exists()


def test_a_request_is_seen_and_answered(ledger: Ledger) -> None:
    """Twice asked is no mistake."""
    ledger.write(ID, entry())
    ledger.ask_to_stop(ID)
    ledger.ask_to_stop(ID)
    asked = ledger.look().requests
    ledger.answer(ID)
    ledger.answer(ID)

    assert asked == {ID}
    assert ledger.look().requests == frozenset()


CLAIM = """
import sys
from pathlib import Path
from modelwidgets.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]))
print("ready", flush=True)
input()
numbers = range(300)
print(sum(ledger.claim(f"{number:012x}", f"{sys.argv[2] * 6}{number:06x}") for number in numbers))
"""


def test_an_entry_is_claimed_by_one(ledger: Ledger) -> None:
    """Of 300 that three processes want, each is taken once, and none is lost."""
    for number in range(300):
        ledger.write(pull_id(number), entry(owner=owner(pid=1)))
    takers = [
        subprocess.Popen(
            [*PYTHON, "-c", CLAIM, str(ledger.folder), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in (1, 2, 3)
    ]
    for taker in takers:
        assert taker.stdout
        taker.stdout.readline()
    for taker in takers:
        assert taker.stdin
        taker.stdin.write("\n")
        taker.stdin.flush()
    taken = [int(taker.communicate(timeout=60)[0]) for taker in takers]

    assert sum(taken) == 300
    assert len(ledger.look().entries) == 300


def test_the_sweep_takes_what_nobody_needs(ledger: Ledger) -> None:
    """What has ended for long, litter, and more than a hundred ends; never what is alive."""
    gone = owner(pid=1)
    kept = {
        "alive": entry(),
        "just done": entry(state="done", owner=gone),
        "interrupted": entry(state="interrupted", owner=gone),
        "killed": entry(owner=gone),
    }
    for number, one in enumerate(kept.values()):
        ledger.write(pull_id(number), one)
    age(ledger._path(pull_id(0)), 90 * 86400)
    age(ledger._path(pull_id(2)), 86400)
    age(ledger._path(pull_id(3)), 86400)
    swept = [
        (entry(state="done"), 2 * 3600),
        (entry(state="cancelled"), 2 * 3600),
        (entry(state="interrupted"), 8 * 86400),
        (entry(owner=gone), 8 * 86400),
    ]
    for number, (one, seconds) in enumerate(swept, 10):
        ledger.write(pull_id(number), one)
        age(ledger._path(pull_id(number)), seconds)
    for name in (f"{ID}.json", f"{ID}.stop", f".{ID}.tmp", "notes.txt"):
        (ledger.folder / name).write_text("")
        age(ledger.folder / name, 2 * 86400)

    ledger.sweep()

    left = {f"{pull_id(number)}.json" for number in range(len(kept))} | {"notes.txt"}
    assert {path.name for path in ledger.folder.iterdir()} == left
    for number in range(100, 250):
        ledger.write(pull_id(number), entry(state="failed"))
        age(ledger._path(pull_id(number)), 1000 - number)
    ledger.sweep()
    assert shown_state(ledger).count("failed") + 3 == MOST_ENDED
    assert ledger._path(pull_id(249)).exists()
    assert not ledger._path(pull_id(100)).exists()
    assert ledger._path(pull_id(0)).exists()


def test_a_reader_sees_whole_entries_while_they_are_written(ledger: Ledger) -> None:
    """Whatever the moment: the old one or the new one."""
    program = (
        "import sys, itertools\n"
        "from pathlib import Path\n"
        "from modelwidgets.ledger import Ledger\n"
        "from modelwidgets.ledger_entry import decode\n"
        "ledger = Ledger(Path(sys.argv[1]))\n"
        "entry = decode(ledger._path(sys.argv[2]).read_bytes(), sys.argv[2])\n"
        "while True:\n    ledger.write(sys.argv[2], entry)\n"
    )
    ledger.write(ID, entry())
    command = [*PYTHON, "-c", program, str(ledger.folder), ID]
    with subprocess.Popen(command) as writer:
        deadline = time.monotonic() + 2
        looks = 0
        while time.monotonic() < deadline:
            assert list(ledger.look().entries) == [ID]
            looks += 1
        assert writer.poll() is None
        writer.kill()

    assert looks > 20


@on_posix
def test_no_folder_is_no_entry_and_a_file_in_its_place_is_said(tmp_path: Path) -> None:
    """Readers make nothing; a writer says what is in its way."""
    ledger = Ledger(tmp_path / "none" / "pulls")
    assert ledger.look().entries == {}
    assert not (tmp_path / "none").exists()
    (tmp_path / "none").write_text("")

    assert ledger.look().entries == {}
    with pytest.raises(OSError, match="none"):
        ledger.write(ID, entry())


def test_an_error_longer_than_an_entry_is_cut(ledger: Ledger) -> None:
    """So that what is written can be read."""
    ledger.write(ID, entry(state="failed", error="\u202e<b>" * 50_000))

    assert ledger._path(ID).stat().st_size < LARGEST_BYTES
    assert ledger.look().entries[ID][0].progress.state == "failed"
