"""What people see on a terminal: bars drawn in place, questions asked."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from modelwidgets.stores.ollama import OllamaClient
from modelwidgets.stores.ollama_files import StoreFiles
from modelwidgets.terminal import Bars, Lines
from tests.commands import COMMAND, eventually, started
from tests.isolation import environment
from tests.model_server import ModelServer
from tests.text_records import PULL

if not hasattr(os, "openpty"):
    pytest.skip("this system has no pseudo-terminals", allow_module_level=True)

from tests.screen import Screen, on_terminal

SMALL, CHAT, TERSE = "embed:tiny", "chat:tiny", "chat:terse"


async def _pull(server: ModelServer, samples: tuple[str, ...]) -> None:
    async with OllamaClient(server.url) as client:
        for sample in samples:
            async for _ in client.pull(server.name(sample), insecure=True):
                pass


def pull(server: ModelServer, *samples: str) -> None:
    asyncio.run(_pull(server, samples))


def installed(server: ModelServer) -> set[str]:
    async def ask() -> set[str]:
        async with OllamaClient(server.url) as client:
            return {model.name for model in await client.list_models()}

    return asyncio.run(ask())


def shares(lines: list[list[str]]) -> list[float]:
    """The percentages of the frames, in their order."""
    found = [re.search(r"(\d+\.\d)%", "\n".join(frame)) for frame in lines]
    return [float(share[1]) for share in found if share]


# The bars


def test_a_bar_is_drawn_in_place(tmp_path: Path, model_server: ModelServer) -> None:
    """A pull is one bar that grows where it stands; the end state is what stays."""
    model_server.registry.faults.throttle_bytes_per_second = 16e6
    name = model_server.name(CHAT)

    with on_terminal(tmp_path, "pull", name, "--url", model_server.url) as command:
        code, screen = command.ended()

    grown = shares(screen.frames)
    assert code == 0
    assert len(set(grown)) > 4
    assert grown == sorted(grown)
    assert {len(frame) for frame in screen.frames if frame} == {2}  # titles, and the one pull
    assert max(len(line) for frame in screen.frames for line in frame) < 80
    assert len(screen.lines) == 3
    assert "100.0%" in screen.lines[1]
    assert screen.lines[2].startswith(f"{name}: listed with the registry's digest")


def test_ctrl_c_stops_a_pull(tmp_path: Path, model_server: ModelServer) -> None:
    """Ctrl-C takes the bar away and says how it ended and how to go on."""
    model_server.registry.faults.throttle_bytes_per_second = 3e6
    name = model_server.name(CHAT)

    with on_terminal(tmp_path, "pull", name, "--url", model_server.url) as command:
        command.until("MB/s")
        command.type("\x03")
        code, screen = command.ended()

    said = "\n".join(screen.lines)
    assert code == 130
    assert "cancelled" in said
    assert screen.lines[-1] == "Interrupted. What was fetched is kept: pull again to go on there."
    assert "Traceback" not in said


def test_a_terminal_that_cannot_draw(tmp_path: Path, model_server: ModelServer) -> None:
    """Where nothing can be drawn in place, there are lines instead."""
    name = model_server.name(SMALL)
    words = ("pull", name, "--url", model_server.url)

    with on_terminal(tmp_path, *words, TERM="dumb") as command:
        code, screen = command.ended()

    assert code == 0
    assert "\x1b" not in command.raw
    assert screen.lines[0].startswith(f"{name}: ")


def test_more_pulls_than_rows(capsys: pytest.CaptureFixture[str]) -> None:
    """What does not fit on the screen is counted, because it could not be drawn again."""
    pulls = [dataclasses.replace(PULL, id=str(n), name=f"model-{n}:latest") for n in range(40)]
    bars, screen = Bars(), Screen()

    bars.show(pulls)
    bars.show(pulls)
    screen.feed(capsys.readouterr().err)

    assert len(screen.lines) == 23
    assert screen.lines[-1] == "… and 19 more lines"
    assert screen.frames == [screen.lines]
    bars.clear()
    screen.feed(capsys.readouterr().err)
    assert screen.lines == []


def test_lines_for_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    """A pull that has not moved says nothing more; one that has says how far it is."""
    lines = Lines()
    on = dataclasses.replace(PULL, completed_bytes=4_800_000_000)
    stalled = dataclasses.replace(on, phase="stalled", status="no bytes for 3 s")

    for pull in (PULL, PULL, on, on, stalled, stalled):
        lines.show([pull])

    assert capsys.readouterr().err.splitlines() == [
        f"{PULL.name}: downloading, 4.7 of 8.1 GB, 58.0%, 58 MB/s, 59 s left",
        f"{PULL.name}: downloading, 4.8 of 8.1 GB, 59.2%, 58 MB/s, 59 s left",
        f"{PULL.name}: no bytes for 3 s, 4.8 of 8.1 GB, 59.2%, 58 MB/s, 59 s left",
    ]


# Pulls that are left


def test_nobody_hears_of_a_pull(tmp_path: Path, model_server: ModelServer) -> None:
    """A pull whose progress has no reader any longer (`2>&1 | head`) ends, and is no success."""
    model_server.registry.faults.throttle_bytes_per_second = 2e6
    name = model_server.name(CHAT)
    command = [*COMMAND, "pull", name, "--url", model_server.url]

    env = environment(tmp_path)
    with subprocess.Popen(
        command, env=env, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr
        first = process.stderr.readline()
        process.stderr.close()

    assert first.startswith(name.encode())
    assert process.returncode == 1
    eventually(lambda: not model_server.sending())


@pytest.mark.parametrize("words", [(), ("--json",)], ids=["text", "JSON"])
def test_an_interrupted_pull(
    tmp_path: Path, model_server: ModelServer, words: tuple[str, ...]
) -> None:
    """Ctrl-C stops the pull in the server too, which keeps what it has."""
    model_server.registry.faults.throttle_bytes_per_second = 3e6
    name = model_server.name(CHAT)

    with started(tmp_path, "pull", name, "--url", model_server.url, *words) as process:
        eventually(lambda: name in model_server.sending())
        eventually(lambda: _kept_bytes(model_server) > 0)
        process.signal(2)
        code, out, err = process.ended(within_seconds=9)
        eventually(lambda: not model_server.sending())

    assert code == 130
    assert "Interrupted. What was fetched is kept: pull again to go on there.\n" in err
    assert "Traceback" not in err
    if words:
        assert [row["state"] for row in json.loads(out)] == ["cancelled"]
    else:
        assert "cancelled" in err
    assert installed(model_server) == set()
    assert _kept_bytes(model_server) > 0


def _kept_bytes(server: ModelServer) -> int:
    files = StoreFiles(server.store.folder)
    blobs = server.store.folder / "blobs"
    partials = {path.name.split("-partial")[0] for path in blobs.glob("*-partial*")}
    return sum(files.partial_bytes(name.replace("-", ":", 1)) for name in partials)


# Streams that are no terminal


def test_streams_that_are_closed(tmp_path: Path, model_server: ModelServer) -> None:
    """Closed streams and a full disk behind one are no reason to break or to forget the work."""

    def shell(streams: str, *words: str) -> subprocess.CompletedProcess[str]:
        command = ["sh", "-c", f'exec "$@" {streams}', "sh", *COMMAND, *words]
        return subprocess.run(
            [*command, "--url", model_server.url],
            env=environment(tmp_path),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    name = model_server.name(SMALL)

    pulled = shell("2>&-", "pull", name)
    removed = shell("<&- 2>&-", "rm", name)
    listed = shell(">&-", "list")
    full = shell(">/dev/full", "list")

    assert (pulled.returncode, listed.returncode) == (0, 0)
    assert f"{name}: listed with the registry's digest" in pulled.stdout
    assert (removed.returncode, removed.stdout) == (1, "")
    assert installed(model_server) == {name}
    assert listed.stderr == ""
    if Path("/dev/full").exists():  # Linux has one
        assert full.returncode == 1
        assert full.stderr == "[Errno 28] No space left on device.\n"


# The question of `rm`


def test_rm_asks(tmp_path: Path, model_server: ModelServer) -> None:
    """`rm` says what would be freed and what stays for whom, and deletes on a yes alone."""
    pull(model_server, CHAT, TERSE, SMALL)
    chat, terse, small = map(model_server.name, (CHAT, TERSE, SMALL))

    words = ("rm", chat, small, "--url", model_server.url)
    with on_terminal(tmp_path, *words, size=(200, 24)) as command:
        command.until(f"{terse}, {small}. [y/N] ")
        command.type("n\n")
        command.until(f"{terse}, {chat}. [y/N] ")
        command.type("y\n")
        code, screen = command.ended()

    question, stays, other, deleted = screen.lines
    # the licence is the same for all of them
    weights, licence = f"25 MB stay for {terse}, {small}.", f"140 B stay for {terse}, {chat}."
    assert re.fullmatch(rf"Delete {chat}\? It frees \d+ B; {weights} \[y/N\] n", question)
    assert stays == f"{chat} stays."
    assert other == f"Delete {small}? It frees 6.3 MB; {licence} [y/N] y"
    assert deleted == f"{small} deleted: freed 6.3 MB."
    assert code == 1  # not all that was named is gone
    assert installed(model_server) == {chat, terse}


@pytest.mark.parametrize(
    ("keys", "code"), [("\x03", 130), ("\x04", 1), ("\n", 1)], ids=["Ctrl-C", "Ctrl-D", "Enter"]
)
def test_rm_takes_no_answer_for_a_no(
    tmp_path: Path, model_server: ModelServer, keys: str, code: int
) -> None:
    """Leaving the question, in whatever way, deletes nothing, at once."""
    pull(model_server, SMALL)

    words = ("rm", model_server.name(SMALL), "--url", model_server.url)
    with on_terminal(tmp_path, *words) as command:
        command.until("[y/N] ")
        command.type(keys)
        ended, _ = command.ended()

    assert ended == code
    assert "Traceback" not in command.raw
    assert installed(model_server) == {model_server.name(SMALL)}
