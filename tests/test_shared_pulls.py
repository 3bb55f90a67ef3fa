"""Pulls that managers share by the ledger, on a scripted server and with owners as a test wants."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from modelwidgets.commands import carry_out
from modelwidgets.errors import InUseError, NotAllowedError, NotStoppedError
from modelwidgets.folders import state_folder
from modelwidgets.ledger import FOLDER, Ledger
from modelwidgets.ledger_entry import LedgerEntry
from modelwidgets.library import Catalog
from modelwidgets.manager import Manager
from modelwidgets.one_pull import Pull
from modelwidgets.owner import Owner
from modelwidgets.policy import EVERYTHING, Policy
from modelwidgets.records import PullProgress
from modelwidgets.stores.registry import RegistryClient
from tests.scripted import PID, URL, ManualClock, PlayedProcesses, ScriptedServer, settle, until
from tests.text_records import PULL

NOTHING = Catalog(as_of="2026-01-01", models=(), problems=(), architectures={})
BLOB = f"sha256:{'a' * 64}"
ID = "0123456789ab"


class Doors:
    """Managers that share a server and a ledger, as those of several kernels do."""

    def __init__(self) -> None:
        self.server = ScriptedServer()
        self.clock = ManualClock()
        self.processes = PlayedProcesses()
        self._stack = AsyncExitStack()

    @property
    def ledger(self) -> Ledger:
        return Ledger(processes=self.processes)

    @property
    def files(self) -> list[str]:
        folder = self.ledger.folder
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []

    async def open(self, viewer: str = "kernel on here", policy: Policy = EVERYTHING) -> Manager:
        manager = Manager(
            self.server.client(),
            viewer=viewer,
            clock=self.clock,
            registry=RegistryClient(transport=httpx.MockTransport(_offline)),
            load_catalog=lambda: NOTHING,
            ledger=self.ledger,
            policy=policy,
        )
        manager.start()
        self._stack.push_async_callback(manager.close)
        await manager.watch.looked.wait()
        return manager

    async def poll(self, *managers: Manager) -> None:
        """What happens by itself four times a second."""
        for manager in managers:
            await manager.shared.look()
        await settle()

    async def close(self) -> None:
        await self._stack.aclose()

    def write(self, pull_id: str = ID, **changes: Any) -> None:
        """The entry of another process."""
        words = {"owner": self.owner(), "ticket": 1, **changes}
        entry = {key: words.pop(key) for key in ("owner", "ticket")}
        progress = {"url": URL, "name": "m:latest", **words}
        self.ledger.write(
            pull_id,
            LedgerEntry(
                written_at=self.clock.now(),
                progress=dataclasses.replace(PULL, id=pull_id, **progress),
                kept={BLOB: 3000},
                missing={BLOB: 7000},
                **entry,
            ),
        )

    def owner(self, **changes: Any) -> Owner:
        me = self.processes.me("terminal on here")
        other: dict[str, Any] = {"pid": PID, "started_seconds": 200.0, **changes}
        return dataclasses.replace(me, **other)


@pytest.fixture
async def doors() -> AsyncIterator[Doors]:
    doors = Doors()
    yield doors
    await doors.close()


def _offline(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("no network", request=request)


def rows(manager: Manager) -> list[tuple[str, str, str | None]]:
    pulls: list[PullProgress] = manager.slices["pulls"]
    return [(pull.name, pull.state, pull.owner) for pull in pulls]


async def going_along(doors: Doors, name: str = "m") -> tuple[Manager, Pull]:
    """A manager that was asked for the model which another process pulls."""
    doors.write()
    manager = await doors.open()
    pull = manager.pull(name)
    await until(lambda: pull.elsewhere)
    return manager, pull


async def call(manager: Manager, method: str, **params: Any) -> Any:
    return await carry_out(manager, method, params, door="page", send=lambda _message: None)


async def test_a_ledger_that_cannot_be_written_is_said_once(doors: Doors) -> None:
    """The pulls go on."""
    state_folder().joinpath(FOLDER).write_text("a file stands in the way")
    manager = await doors.open()
    pull = manager.pull("m")
    await until(lambda: doors.server.streams)
    await until(lambda: manager.slices["notices"][0].kind == "warning")
    notice = manager.slices["notices"][0]
    await call(manager, "dismiss_notice", id=notice.id)
    for _ in range(5):
        await doors.clock.move(2)
        await doors.poll(manager)

    assert notice.text.startswith("Other notebooks and terminals cannot see the pulls of this one")
    assert pull.state == "running"
    assert [one.text for one in manager.notices] == ["Pull of m:latest started."]


async def test_a_pid_that_was_given_again_is_not_the_owner(doors: Doors) -> None:
    """Its pull is offered once, and goes on here with what was known of its bytes."""
    doors.write(owner=doors.owner(started_seconds=150.0))
    manager = await doors.open()
    await until(lambda: rows(manager) == [("m:latest", "interrupted", None)])
    await doors.poll(manager, manager)
    offers = [notice.text for notice in manager.notices]
    resumed = await call(manager, "retry", id=ID)
    await until(lambda: doors.server.streams)

    assert offers == ["The pull of m:latest was interrupted at 58.0%."]
    assert rows(manager) == [("m:latest", "running", None)]
    pull = manager.pulls[resumed.id]
    assert (pull.progress().completed_bytes, pull.progress().total_bytes) == (3000, 8_100_000_000)
    doors.server.streams[0].say(status="x", digest=BLOB, total=8_000_000_000, completed=2000)
    await settle()
    assert (pull.progress().completed_bytes, pull.phase) == (3000, "retrying")
    assert doors.files == [f"{resumed.id}.json"]


async def test_an_owner_that_lives_keeps_its_pull(doors: Doors) -> None:
    """Who asks for the model goes along, sees its bytes move, and asks no server."""
    manager, pull = await going_along(doors, "M")
    doors.write(completed_bytes=5_000_000_000)
    await doors.poll(manager)

    assert rows(manager) == [("m:latest", "running", f"terminal on here (process {PID})")]
    assert pull.progress().completed_bytes == 5_000_000_000
    assert doors.server.streams == []
    doors.write(state="done", phase="done", completed_bytes=8_100_000_000, proof="listed")
    await doors.poll(manager)
    assert (await manager.pulls.wait(pull)).completed_bytes == 8_100_000_000
    assert rows(manager) == [("m:latest", "done", None)]


async def test_who_goes_along_takes_over_from_an_owner_that_is_gone(doors: Doors) -> None:
    """And nobody is asked."""
    manager, pull = await going_along(doors)
    del doors.processes.running[PID]
    await doors.poll(manager)
    await until(lambda: doors.server.streams)

    assert rows(manager) == [("m:latest", "running", None)]
    assert doors.files == [f"{pull.id}.json"]


async def test_a_failure_elsewhere_fails_here_with_the_same_words(doors: Doors) -> None:
    """And can be retried here."""
    manager, pull = await going_along(doors)
    doors.write(state="failed", error="no space left on device")
    await doors.poll(manager)

    assert rows(manager) == [("m:latest", "failed", None)]
    assert "no space left on device" in str(pull.progress().error)
    manager.retry(pull.id)
    await until(lambda: doors.server.streams)
    assert rows(manager) == [("m:latest", "running", None)]


async def test_who_goes_along_takes_no_place_in_the_queue(doors: Doors) -> None:
    """Two others' pulls leave room for two of our own."""
    for number in (1, 2):
        doors.write(f"{number:012x}", name=f"m{number}:latest")
    manager = await doors.open()
    pulls = [manager.pull(f"m{number}") for number in (1, 2, 3, 4, 5)]
    await until(lambda: pulls[0].elsewhere and pulls[1].elsewhere)
    await doors.clock.move(1)
    await until(lambda: len(doors.server.streams) == 2)

    assert [pull.state for pull in pulls] == ["running"] * 4 + ["queued"]


async def test_a_stop_where_it_is_shown_asks_its_owner(doors: Doors) -> None:
    """Also of a pull that only goes along; an owner that does not hear is told of."""
    doors.write()
    manager = await doors.open()
    await until(lambda: rows(manager))
    with pytest.raises(NotStoppedError, match=f"process {PID}.* has not stopped .* within 3 s"):
        await call(manager, "stop", id=ID)
    asked = doors.ledger.look().requests
    doors.ledger.answer(ID)
    pull = manager.pull("m")
    await until(lambda: pull.elsewhere)
    await call(manager, "stop", id=pull.id)
    await until(lambda: doors.ledger.look().requests)

    assert asked == doors.ledger.look().requests == {ID}
    assert pull.state == "cancelled"


async def test_a_request_stops_what_waits_and_what_runs(doors: Doors) -> None:
    """It is answered by its removal; one for a stranger is left to that one."""
    manager = await doors.open()
    pulls = [manager.pull(name) for name in ("one", "two", "three")]
    await until(lambda: len(doors.server.streams) == 2)
    for pull_id in (pulls[0].id, pulls[2].id, ID):
        doors.ledger.ask_to_stop(pull_id)
    await doors.poll(manager, manager)
    await until(lambda: doors.ledger.look().requests == {ID})

    assert [pull.state for pull in pulls] == ["cancelled", "running", "cancelled"]


async def test_a_request_that_came_too_late_stops_no_later_attempt(doors: Doors) -> None:
    """Its pull had ended by itself, in a process that did not look any more."""
    manager = await doors.open()
    pull = manager.pull("m")
    await until(lambda: doors.server.streams)
    pull.stop()
    await until(lambda: not manager.shared._thread.watching)
    doors.ledger.ask_to_stop(pull.id)
    manager.retry(pull.id)
    await until(lambda: len(doors.server.streams) == 2)
    await doors.poll(manager, manager)

    assert pull.state == "running"
    assert doors.ledger.look().requests == frozenset()


async def test_a_model_that_is_pulled_elsewhere_is_not_deleted_by_accident(doors: Doors) -> None:
    """With force that pull is stopped first."""
    doors.server.install("m:latest", "a" * 64)
    one, two = await doors.open(), await doors.open()
    pull = one.pull("m")
    await until(lambda: doors.server.streams)
    with pytest.raises(InUseError, match=r"the kernel on here \(process \d+\) is pulling it"):
        await call(two, "delete", name="m")
    waiting = asyncio.ensure_future(two.delete("m", force=True))
    await until(lambda: doors.ledger.look().requests)
    await doors.poll(one)
    await waiting

    assert pull.state == "cancelled"
    assert doors.server.models == []


@pytest.mark.parametrize(
    ("url", "shown", "offered"),
    [(URL, "running", []), ("http://10.0.0.9:11434", "running", ["interrupted"])],
)
async def test_another_host_that_shares_the_home(
    doors: Doors, url: str, shown: str, offered: list[str]
) -> None:
    """Shown while it writes; then offered where its server is also ours: a loopback is not."""
    doors.write(url=url, owner=doors.owner(host="another", pid=1))
    manager = await doors.open()
    manager.seen("page", "pulls", visible=True)
    await until(lambda: [state for _, state, _ in rows(manager)] == [shown])
    await doors.clock.move(59)
    await doors.poll(manager)
    still = [state for _, state, _ in rows(manager)]
    await doors.clock.move(2)
    await doors.poll(manager)

    assert still == [shown]
    assert [state for _, state, _ in rows(manager)] == offered
    pull = manager.pull("m")
    await until(lambda: doors.server.streams)
    assert pull.elsewhere is None


async def test_what_runs_is_told_of_often_enough_for_other_hosts(doors: Doors) -> None:
    """Every ten seconds where nothing moves, every second where bytes do."""
    manager = await doors.open()
    pull = manager.pull("m")
    await until(lambda: doors.server.streams)
    stream = doors.server.streams[0]

    async def written(seconds: int, completed: int) -> int:
        seen = set()
        for second in range(seconds):
            stream.say(status="x", digest=BLOB, total=10**9, completed=completed * second)
            await settle()
            await doors.clock.move(1)
            await doors.poll(manager)
            seen.add(doors.ledger.look().entries[pull.id][0].written_at)
        return len(seen)

    assert await written(10, 1000) >= 9
    assert 2 <= await written(30, 0) <= 6


async def test_nothing_is_polled_where_nobody_looks(
    doors: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither after the first look, nor once a page is hidden or the last pull has ended."""
    looks: list[str] = []
    for name in ("look", "has_news"):
        monkeypatch.setattr(Ledger, name, _counted(looks, name, getattr(Ledger, name)))
    manager = await doors.open()

    async def quiet() -> bool:
        """Whether there is half a second without a look, within five."""
        for _ in range(10):
            before = len(looks)
            await asyncio.sleep(0.5)
            if len(looks) == before:
                return True
        return False

    assert await quiet()
    manager.seen("page", "pulls", visible=True)
    before = len(looks)
    await until(lambda: len(looks) > before + 4)
    manager.seen("page", "pulls", visible=False)
    assert await quiet()
    pull = manager.pull("m")
    await until(lambda: doors.server.streams)
    before = len(looks)
    await until(lambda: len(looks) > before + 4)
    pull.stop()
    assert await quiet()
    assert {"look", "has_news"} == set(looks)


def _counted(looks: list[str], name: str, real: Callable[..., Any]) -> Any:
    def counting(*asked: Any) -> Any:
        looks.append(name)
        return real(*asked)

    return counting


async def test_a_page_resumes_only_on_servers_that_it_may_speak_to(doors: Doors) -> None:
    """An entry of the ledger is no way around the configuration of a Jupyter server."""
    doors.write(url="http://10.0.0.9:11434", state="interrupted")
    manager = await doors.open(policy=Policy.narrow())
    await until(lambda: rows(manager))

    with pytest.raises(NotAllowedError, match=r"10\.0\.0\.9"):
        await call(manager, "retry", id=ID)


async def test_the_disk_is_weighed_with_the_pulls_of_others(doors: Doors) -> None:
    """What runs elsewhere for the same server still takes its bytes; what ended takes none."""
    doors.write()
    doors.write(f"{1:012x}", url="http://127.0.0.1:9")
    manager = await doors.open()
    await doors.poll(manager)
    outlook = await manager._planning.outlook("n", URL)
    claimed = [manager.pulls.claimed_bytes(outlook, url) for url in (URL, "http://[::1]:9")]
    doors.write(state="cancelled")
    await doors.poll(manager)

    assert claimed == [7000, 0]
    assert manager.pulls.claimed_bytes(outlook, URL) == 0


async def test_of_several_left_overs_of_a_model_one_is_offered(doors: Doors) -> None:
    """And taking it up takes them all; what others left of other models stays."""
    for number in (1, 2, 3):
        doors.write(f"{number:012x}", state="interrupted")
        await doors.clock.move(1)
    doors.write(ID, name="n:latest", state="interrupted")
    manager = await doors.open()
    await until(lambda: len(rows(manager)) == 2)
    await call(manager, "retry", id=f"{3:012x}")
    await until(lambda: doors.server.streams)

    (ours,) = list(manager.pulls)
    assert doors.files == sorted([f"{ours.id}.json", f"{ID}.json"])


async def test_an_end_stays_until_it_is_dismissed_and_a_kernel_forgets_others(
    doors: Doors,
) -> None:
    """Ends are shown to who saw the pull run; a failure of last week is nobody's news."""
    doors.write(f"{1:012x}", name="old:latest", state="failed", error="x")
    one, two = await doors.open("kernel on one"), await doors.open()
    pull = one.pull("m")
    await until(lambda: doors.server.streams)
    await doors.poll(one, two)
    seen = rows(two)
    pull.stop()
    await doors.poll(one, two)
    ended = rows(two)
    one.dismiss(pull.id)
    await doors.poll(one, two)

    assert seen == [("m:latest", "running", f"kernel on one (process {os.getpid()})")]
    assert ended == [("m:latest", "cancelled", None)]
    assert rows(two) == []
    assert doors.files == [f"{1:012x}.json"]


async def test_stops_and_starts_in_a_row_leave_one_entry(doors: Doors) -> None:
    """However they fall into the moments in which the ledger is written."""
    manager = await doors.open()
    pull = manager.pull("m")
    for number in range(50):
        for _ in range(number):
            await settle()
        pull.stop()
        assert manager.pull("m") is pull
    await until(lambda: pull.id in manager.shared._tickets)
    await doors.poll(manager)

    assert doors.files == [f"{pull.id}.json"]
    raw = json.loads((doors.ledger.folder / doors.files[0]).read_bytes())
    assert raw["progress"]["state"] == "running"
    pull.stop()
    manager.dismiss(pull.id)
    await doors.poll(manager)
    assert doors.files == []


async def test_the_state_folder_of_the_user_is_not_touched_by_tests(tmp_path: Path) -> None:
    """What a manager takes by itself lies inside the test's own folder."""
    assert Ledger().folder == tmp_path / "state" / "pulls"
