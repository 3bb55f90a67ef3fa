"""Marks of many models: kept true while somebody sees them, and only then."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from modelwidgets.commands import carry_out
from modelwidgets.fit_records import FitMarks
from modelwidgets.fitting import Fitting
from modelwidgets.manager import Manager
from modelwidgets.slices import Message
from modelwidgets.stores.ollama import OllamaClient
from modelwidgets.stores.registry import RegistryClient
from tests.commands import PYTHON
from tests.fake_nvml import GIB
from tests.fit import rows
from tests.fit_machine import FitMachine
from tests.model_server import ModelServer
from tests.scripted import ScriptedServer
from tests.store_bed import eventually

pytestmark = pytest.mark.usefixtures("offline")
MIB = 1 << 20
LLAMA = rows.HEADERS / "llama3.1-8b-Q4_K_M.head"
PATIENCE_SECONDS = 60


class Desk:
    """A manager of a scripted server, and a page that may be looked at."""

    def __init__(self) -> None:
        self.server = ScriptedServer()
        self.got: list[Message] = []
        self.manager = Manager(
            self.server.client(),
            viewer="test",
            registry=RegistryClient(transport=httpx.MockTransport(_offline)),
        )
        self.manager.slices.subscribe(self.got.append)

    async def call(self, method: str, **params: Any) -> Any:
        return await carry_out(self.manager, method, params, door=self, send=self.got.append)

    async def begin(self) -> None:
        self.manager.start()
        await self.manager.watch.looked.wait()

    async def look(self) -> None:
        """Open the page, and wait until its marks are there and at rest."""
        if not self.manager.watch.looked.is_set():
            await self.begin()
        await self.call("visible", visible=True, view="a")
        await self.until(lambda: self.fits is not None)
        await self.settled()

    async def until(self, so: Callable[[], bool]) -> None:
        await eventually(so, PATIENCE_SECONDS)

    async def settled(self) -> None:
        """Until no mark is made and every message is sent."""
        await self.manager.refresh()
        await asyncio.sleep(0.25)  # a flush tells of what that look found
        slices = self.manager.slices
        await self.until(lambda: _rests(self.manager) and slices._timer is None)

    @property
    def fits(self) -> FitMarks | None:
        found: FitMarks | None = self.manager.slices["fits"]
        return found

    @property
    def marks(self) -> dict[str, Any]:
        assert self.fits is not None
        return self.fits.marks

    @property
    def told(self) -> list[Message]:
        """What the page was told of marks."""
        return [message for message in self.got if message["name"] == "fits"]


def _rests(manager: Manager) -> bool:
    """Whether no mark is being made."""
    working = manager._marking._working
    return working is None or working.done()


def _offline(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("no network", request=request)


@pytest.fixture
async def desk(machine: FitMachine) -> AsyncIterator[Desk]:
    desk = Desk()
    yield desk
    await desk.manager.close()


# What marks say


async def test_every_tag_of_the_catalog_has_a_mark(desk: Desk, machine: FitMachine) -> None:
    """On the server's machine, with the memory that is free and the context of the server."""
    machine.add_gpu(22.5)

    await desk.look()

    catalog = await desk.manager.catalog()
    assert desk.fits is not None
    assert (desk.fits.judged, desk.fits.context_length) == (True, 32768)
    assert set(desk.marks) >= {tag.name for one in catalog.models for tag in one.tags}
    small, large, huge = (
        desk.marks[name] for name in ("qwen3:8b", "llama3.3:70b", "llama3.1:405b")
    )
    assert (small.verdict, small.fits, small.gpu_layers) == ("full", True, small.layer_count)
    assert (large.verdict, large.fits) == ("partial", False)
    assert 0 < large.gpu_layers < large.layer_count
    assert (huge.verdict, huge.fits) == ("no", False)
    assert small.needed_bytes < large.needed_bytes < huge.needed_bytes
    assert {one.basis for one in (small, large, huge)} == {"catalog"}


async def test_without_a_gpu_what_the_ram_holds_fits(desk: Desk) -> None:
    """A machine without a GPU runs on its CPU what it runs; there is nothing better to wait for."""
    await desk.look()

    small, huge = desk.marks["qwen3:8b"], desk.marks["llama3.1:405b"]
    assert (small.verdict, small.fits) == ("cpu", True)
    assert (huge.verdict, huge.fits) == ("no", False)


async def test_an_installed_model_is_marked_by_its_header(
    model_server: ModelServer, machine: FitMachine
) -> None:
    """Its mark is what its report says."""
    machine.add_gpu(4.5, total_gib=8)
    server = model_server
    source = server.registry.add_model("someone/llama", {"model": LLAMA.read_bytes()})
    async with OllamaClient(server.url) as client:
        async for _step in client.pull(source, insecure=True):
            pass
    manager = Manager(OllamaClient(server.url), viewer="test")
    manager.start()

    marks = (await manager.fit_marks()).marks
    card = await manager.fit_card(source)

    mark = marks[source]
    assert (mark.verdict, mark.fits, mark.basis) == ("partial", False, "header")
    assert (mark.needed_bytes, mark.gpu_layers, mark.layer_count) == (
        card.report.total_bytes,
        card.report.gpu_layers,
        33,
    )
    await manager.close()


async def test_installed_models_are_read_only_while_somebody_looks(
    model_server: ModelServer, machine: FitMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after another; what was read stays known, also for a copy under another name."""
    machine.add_gpu(20)
    server = model_server
    header = LLAMA.read_bytes()
    full_names = [
        server.registry.add_model(f"someone/llama{nth}", {"model": header, "system": b"%d" % nth})
        for nth in range(4)
    ]
    async with OllamaClient(server.url) as client:
        for name in full_names:
            async for _step in client.pull(name, insecure=True):
                pass
        await client.copy(full_names[0], "copied:v1")
    manager = Manager(OllamaClient(server.url), viewer="test")
    asked: list[str] = []
    under_way = most = 0
    real = Fitting.installed

    async def installed(fitting: Fitting, name: str, *more: Any) -> Any:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        asked.append(name)
        if len(asked) == 2:
            manager.watch.seen("door", "view", visible=False)
        found = await real(fitting, name, *more)
        under_way -= 1
        return found

    monkeypatch.setattr(Fitting, "installed", installed)
    manager.start()
    await manager.watch.looked.wait()
    manager.watch.seen("door", "view", visible=True)
    await eventually(lambda: _rests(manager) and len(asked) == 2, PATIENCE_SECONDS)
    hidden = [mark.basis for mark in manager.slices["fits"].marks.values()].count("header")
    manager.watch.seen("door", "view", visible=True)
    await eventually(lambda: manager._marking._made_for is not None, PATIENCE_SECONDS)

    marks = manager.slices["fits"].marks
    assert hidden in (2, 3)  # two models, one of them maybe the one that has a copy
    assert (len(asked), most) == (4, 1)
    assert {marks[name].basis for name in (*full_names, "copied:v1")} == {"header"}
    assert marks["copied:v1"] == marks[full_names[0]]
    await manager.close()


async def test_a_loaded_model_may_have_what_it_has(desk: Desk, machine: FitMachine) -> None:
    """What a model takes of the GPU now is free for itself, and for no other."""
    gpu = machine.add_gpu(9, total_gib=12)
    await desk.look()
    before = desk.marks["qwen3:8b"], desk.marks["llama3.1:8b"]
    gpu.free = 2 * GIB
    row = {"name": "qwen3:8b", "model": "qwen3:8b", "digest": "a" * 64}
    desk.server.running = [{**row, "size": 7 * GIB, "size_vram": 7 * GIB}]

    await desk.settled()

    assert [one.verdict for one in before] == ["full", "full"]
    assert desk.marks["qwen3:8b"] == before[0]
    assert desk.marks["llama3.1:8b"].verdict in ("partial", "cpu")


async def test_a_remote_server_is_not_judged_by_what_is_here(machine: FitMachine) -> None:
    """Nothing is known of its machine, so no mark says anything."""
    machine.add_gpu(22)
    server = ScriptedServer()
    manager = Manager(server.client("http://gpu.example:11434"), viewer="test")
    manager.start()

    marks = await manager.fit_marks()

    assert (marks.judged, marks.context_length, marks.marks) == (False, None, {})
    await manager.close()


# When the page is told


async def test_nothing_is_made_while_nobody_looks(desk: Desk, machine: FitMachine) -> None:
    """A hidden view costs nothing, and one that is shown again has the marks of that moment."""
    gpu = machine.add_gpu(22.5)
    await desk.begin()
    await asyncio.sleep(0.25)

    hidden = desk.fits
    await desk.look()
    await desk.call("visible", visible=False, view="a")
    told = len(desk.told)
    gpu.free = GIB
    await desk.manager.refresh()
    await asyncio.sleep(0.25)

    assert hidden is None
    assert len(desk.told) == told
    assert desk.marks["qwen3:8b"].verdict == "full"
    await desk.call("visible", visible=True, view="a")
    await desk.until(lambda: desk.marks["qwen3:8b"].verdict != "full")


async def test_memory_that_comes_and_goes_changes_no_mark(desk: Desk, machine: FitMachine) -> None:
    """Within the play of a desktop, on the GPU and in RAM, the page is told nothing."""
    gpu = machine.add_gpu(6.9, total_gib=8)
    await desk.look()
    before, told = dict(desk.marks), len(desk.told)

    for less_mib in (200, 0, 250, 100):
        gpu.free = int(6.9 * GIB) - less_mib * MIB
        machine.ram = type(machine.ram)(
            total_bytes=64 * GIB, available_bytes=48 * GIB - 12 * less_mib * MIB
        )
        await desk.settled()

    assert desk.marks == before
    assert len(desk.told) == told


async def test_a_driver_that_is_late_once_changes_no_mark(desk: Desk, machine: FitMachine) -> None:
    """One that stays silent does: then the GPU is left out, as the report has it."""
    gpu = machine.add_gpu(22)
    await desk.look()

    gpu.memory_result = gpu.memory_v2_result = 999
    await desk.settled()
    once = desk.marks["qwen3:8b"].verdict
    for _ in range(3):
        await desk.settled()

    assert once == "full"
    assert desk.marks["qwen3:8b"].verdict == "cpu"


async def test_only_marks_that_changed_are_sent(desk: Desk, machine: FitMachine) -> None:
    """In patches of a kilobyte, which together are what the kernel has."""
    gpu = machine.add_gpu(7, total_gib=8)
    await desk.look()
    before = dict(desk.marks)
    first = len(desk.told)
    gpu.free = int(6.5 * GIB)

    await desk.settled()

    changed = {name for name, mark in desk.marks.items() if before.get(name) != mark}
    patches = desk.told[first:]
    assert changed
    assert {message["op"] for message in patches} == {"patch"}
    assert all(len(json.dumps(message)) < 1024 for message in patches)
    sent = {name: mark for message in patches for name, mark in message["rows"].items()}
    assert set(sent) == changed
    revs = [message["rev"] for message in desk.told]
    assert revs == list(range(revs[0], revs[0] + len(revs)))


async def test_another_server_has_marks_of_its_own(desk: Desk, machine: FitMachine) -> None:
    """Nothing of the old one is shown as if of the new."""
    machine.add_gpu(22)
    await desk.look()

    await desk.call("connect", url="http://gpu.example:11434")
    await desk.until(lambda: desk.fits is not None and not desk.fits.judged)

    assert desk.marks == {}


def test_nothing_is_loaded_for_who_does_not_look() -> None:
    """A notebook that only asks what is installed does not wait for the arithmetic."""
    code = (
        "import sys, asyncio\n"
        "from modelwidgets.manager import Manager\n"
        "from modelwidgets.stores.ollama import OllamaClient\n"
        "async def main():\n"
        "    manager = Manager(OllamaClient('http://127.0.0.1:9'), viewer='test')\n"
        "    manager.start()\n"
        "    await manager.watch.looked.wait()\n"
        "    await asyncio.sleep(0.3)\n"
        "    await manager.close()\n"
        "asyncio.run(main())\n"
        "heavy = ('marks', 'judge', 'placement', 'estimate', 'glance')\n"
        "print([one for one in heavy if 'modelwidgets.memory.' + one in sys.modules])\n"
    )
    done = subprocess.run(
        [*PYTHON, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout.strip() == "[]"
