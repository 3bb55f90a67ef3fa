"""Pulls of several processes of one user: seen, stopped, joined, taken over; no mock between."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from tests.commands import eventually, run
from tests.doors import door
from tests.model_server import ModelServer

CHAT = "embed:tiny"
TOTAL_BYTES = 6_345_095
SLOW = 500_000


@pytest.fixture
def slow_server(model_server: ModelServer) -> ModelServer:
    """A pull from it takes long enough to be looked at."""
    model_server.registry.faults.throttle_bytes_per_second = SLOW
    return model_server


def manifests_asked(server: ModelServer) -> int:
    return sum("/manifests/" in request.path for request in list(server.registry.log))


def test_a_pull_is_seen_and_stopped_from_another_process(
    slow_server: ModelServer, tmp_path: Path
) -> None:
    """Within a second, and both say the same of it."""
    name = slow_server.name(CHAT)
    with door(tmp_path, slow_server.url, "kernel on one") as one:
        with door(tmp_path, slow_server.url) as two:
            one.call("pull", name=name)
            ours = one.until("running", above_bytes=0)
            theirs = two.until("running", elsewhere=True, above_bytes=0)

            assert (theirs["id"], theirs["name"]) == (ours["id"], ours["name"])
            assert theirs["owner"] == f"kernel on one (process {one.process.pid})"
            assert theirs["total_bytes"] == TOTAL_BYTES
            began = time.monotonic()
            assert two.call("stop", id=theirs["id"]) is None
            assert time.monotonic() - began < 1
            assert [pull["state"] for pull in one.pulls] == ["cancelled"]
            assert [pull["state"] for pull in two.pulls] == ["cancelled"]
            two.call("dismiss", id=theirs["id"])
            assert two.pulls == []
        assert not list((tmp_path / "state" / "pulls").iterdir())


def test_a_pull_of_the_same_model_elsewhere_is_joined(
    slow_server: ModelServer, tmp_path: Path
) -> None:
    """Both bars end as done; the registry sent the bytes once, and was asked by one of them."""
    name = slow_server.name(CHAT)
    with door(tmp_path, slow_server.url) as one, door(tmp_path, slow_server.url) as two:
        one.call("pull", name=name)
        one.until("running", above_bytes=0)
        asked = manifests_asked(slow_server)
        two.call("pull", name=name)
        along = two.until("running", elsewhere=True, above_bytes=0)

        assert len(two.pulls) == 1
        assert manifests_asked(slow_server) == asked
        slow_server.registry.faults.throttle_bytes_per_second = None
        one.until("done")
        done = two.until("done")
        assert (done["id"], done["completed_bytes"]) == (along["id"], TOTAL_BYTES)
        assert f"(pulled by the kernel on here (process {one.process.pid}))" in done["proof"]
        assert slow_server.registry.sent_bytes() == TOTAL_BYTES
        assert [pull["state"] for pull in one.pulls] == ["done"]


def test_of_processes_that_begin_at_once_one_pulls(
    slow_server: ModelServer, tmp_path: Path
) -> None:
    """However their first moments fall together."""
    name = slow_server.name(CHAT)
    with (
        door(tmp_path, slow_server.url) as one,
        door(tmp_path, slow_server.url) as two,
        door(tmp_path, slow_server.url) as three,
    ):
        doors = (one, two, three)
        for each in doors:
            stdin = each.process._process.stdin
            assert stdin
            stdin.write(json.dumps(["pull", {"name": name}]) + "\n")
        for each in doors:
            assert each.process._process.stdin
            each.process._process.stdin.flush()
        for each in doors:
            each.process.json()

        def owners() -> list[bool] | None:
            rows = [pull for each in doors for pull in each.pulls]
            moving = all(pull["completed_bytes"] > 0 for pull in rows)
            return [pull["owner"] is None for pull in rows] if moving else None

        assert sorted(eventually(owners) or []) == [False, False, True]
        stopped = one.pulls[0]["id"]
        one.call("stop", id=stopped)
        for each in doors:
            eventually(lambda each=each: [pull["state"] for pull in each.pulls] == ["cancelled"])


def test_after_a_kill_the_next_manager_offers_to_resume(
    slow_server: ModelServer, tmp_path: Path
) -> None:
    """At the right bytes and in words, and what the server kept is not fetched again."""
    name = slow_server.name(CHAT)
    with door(tmp_path, slow_server.url) as one:
        one.call("pull", name=name)
        one.until("running", above_bytes=1_500_000)
        one.process.signal(signal.SIGTERM if not hasattr(signal, "SIGKILL") else signal.SIGKILL)
    eventually(lambda: not slow_server.sending())
    sent = slow_server.registry.sent_bytes()
    with door(tmp_path, slow_server.url) as two:
        offered = two.until("interrupted")
        notice = two.call("slice", name="notices")[0]

        percent = offered["completed_bytes"] * 100 // TOTAL_BYTES
        assert 15 <= percent < 90
        assert f"{name} was interrupted at {percent}." in notice["text"]
        assert notice["actions"] == [
            {"label": "Resume", "method": "retry", "params": {"id": offered["id"]}}
        ]
        slow_server.registry.faults.throttle_bytes_per_second = None
        resumed = two.call("retry", id=offered["id"])
        done = two.until("done")
        assert (done["id"], done["completed_bytes"]) == (resumed["id"], TOTAL_BYTES)
        assert len(two.pulls) == 1
        assert two.call("slice", name="notices")[0]["text"] == f"{name} is installed."
    again = slow_server.registry.sent_bytes() - TOTAL_BYTES
    assert sent < TOTAL_BYTES
    assert again < 1_000_000, "more than a piece under way was fetched twice"


def test_who_went_along_goes_on_when_the_owner_is_killed(
    slow_server: ModelServer, tmp_path: Path
) -> None:
    """One of those that wait for the model takes the pull over, nobody else does."""
    name = slow_server.name(CHAT)
    with door(tmp_path, slow_server.url) as two, door(tmp_path, slow_server.url) as three:
        with door(tmp_path, slow_server.url) as one:
            one.call("pull", name=name)
            one.until("running", above_bytes=0)
            for each in (two, three):
                each.call("pull", name=name)
                each.until("running", elsewhere=True)
        ours = eventually(
            lambda: [
                each for each in (two, three) if [pull["owner"] for pull in each.pulls] == [None]
            ]
        )

        assert len(ours) == 1
        slow_server.registry.faults.throttle_bytes_per_second = None
        two.until("done")
        three.until("done")


def test_an_orderly_end_offers_to_resume_too(slow_server: ModelServer, tmp_path: Path) -> None:
    """A kernel that is shut down says so itself."""
    with door(tmp_path, slow_server.url) as one:
        one.call("pull", name=slow_server.name(CHAT))
        one.until("running", above_bytes=0)
        one.process.end_of_input()
        assert one.process.ended()[0] == 0
    with door(tmp_path, slow_server.url) as two:
        offered = two.until("interrupted")
        two.call("dismiss", id=offered["id"])

        assert two.pulls == []
        assert two.call("slice", name="notices") == []
    with door(tmp_path, slow_server.url) as three:
        assert three.pulls == []


def test_a_terminal_lists_and_stops_pulls(slow_server: ModelServer, tmp_path: Path) -> None:
    """It needs no server for that: the pull of a kernel may be of any."""
    name = slow_server.name(CHAT)
    with door(tmp_path, slow_server.url) as one:
        nothing = run(tmp_path, "stop", name)
        one.call("pull", name=name)
        one.until("running", above_bytes=0)
        eventually(lambda: json.loads(run(tmp_path, "pulls", "--json").stdout))
        text = run(tmp_path, "pulls").stdout
        stopped = run(tmp_path, "stop", name)
        again = run(tmp_path, "stop", name)

        assert "No pull of" in nothing.stderr
        assert nothing.returncode == again.returncode == 1
        assert f"{name}: in kernel on here (process {one.process.pid})" in text
        assert (stopped.returncode, stopped.stderr) == (0, "")
        assert "stopped" in stopped.stdout
        assert [pull["state"] for pull in one.pulls] == ["cancelled"]
