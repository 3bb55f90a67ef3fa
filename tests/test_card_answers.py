"""The card of one model: its report, and what it would say of other settings."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from modelwidgets import fit
from modelwidgets.commands import carry_out
from modelwidgets.device_records import Devices
from modelwidgets.errors import InvalidNameError, ManifestNotFoundError
from modelwidgets.fit_records import FitCard, FitReport, FitStop
from modelwidgets.manager import Manager
from modelwidgets.memory.judge import Subject, judged
from modelwidgets.memory.ollama_defaults import OllamaRequest
from modelwidgets.memory.report import Held, report
from modelwidgets.memory.stops import StopTable
from modelwidgets.plain_json import as_json
from modelwidgets.stores.ollama import OllamaClient
from tests.fake_nvml import GIB
from tests.fit import rows
from tests.fit_machine import FitMachine
from tests.model_server import ModelServer
from tests.scripted import ScriptedServer

pytestmark = pytest.mark.usefixtures("offline")
LLAMA = rows.HEADERS / "llama3.1-8b-Q4_K_M.head"
PATIENCE_SECONDS = 60


@pytest.fixture
async def manager(model_server: ModelServer) -> AsyncIterator[Manager]:
    manager = Manager(OllamaClient(model_server.url), viewer="test")
    manager.start()
    yield manager
    await manager.close()


async def ask(manager: Manager, name: str, **params: Any) -> FitCard:
    answer = await carry_out(
        manager, "fit_card", {"name": name, **params}, door=None, send=lambda _message: None
    )
    assert isinstance(answer, FitCard)
    return answer


def said(stop: FitStop | None) -> dict[str, Any]:
    """What a stop says, as plain values."""
    assert stop is not None
    return as_json(stop)  # type: ignore[no-any-return]


def said_by(found: FitReport) -> dict[str, Any]:
    """The same of a report."""
    return {
        "verdict": found.verdict,
        "gpu_layers": found.gpu_layers,
        "experts_in_ram": found.experts_in_ram,
        "total_bytes": found.total_bytes,
        "ram_bytes": found.ram_bytes,
        "terms": [[term.part, term.gpu, term.size_bytes] for term in found.terms],
    }


# What it says


async def test_each_stop_is_what_fit_says(
    manager: Manager,
    model_server: ModelServer,
    machine: FitMachine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same name with these settings, asked by itself, gets the same answer to the byte."""
    machine.add_gpu(5, total_gib=8)
    header = (rows.HEADERS / "llama3.2-3b-Q8_0.head").read_bytes()
    name = model_server.registry.add_model("someone/llama", {"model": header})
    monkeypatch.setenv("OLLAMA_HOST", model_server.url)

    card = await ask(manager, name, whole=True)

    stops = card.stops
    assert stops.context_lengths == tuple(1 << power for power in range(11, 18))
    assert stops.kv_cache_types == ("f16", "q8_0", "q4_0")
    assert stops.num_parallels == (1, 2, 4)
    assert len(stops.results) == 63
    for cache, parallel, context in [(0, 2, 0), (1, 1, 3), (2, 0, 6)]:
        asked = fit(
            name,
            context_length=stops.context_lengths[context],
            kv_cache_type=stops.kv_cache_types[cache],
            num_parallel=stops.num_parallels[parallel],
        )
        stop = stops.results[(cache * 3 + parallel) * 7 + context]
        assert said(stop) == said_by(await asked)
    at = stops.context_lengths.index(card.report.context_length)
    assert said(stops.results[at]) == said_by(card.report)
    assert {stop.verdict for stop in stops.results if stop} >= {"full", "partial"}


@pytest.mark.parametrize(
    ("header", "free_gib"),
    [
        ("gemma3-4b-Q8_0", (5,)),
        ("qwen3-30b-a3b-Q4_K_M", (20,)),
        ("lfm2-1.2b-Q4_K_M", ()),
        ("mistral-nemo-12b-Q4_K_M", (6, 6)),
        ("llama3.1-8b-Q8_0", None),
    ],
)
def test_stops_of_every_kind_are_reports(
    header: str, free_gib: tuple[int, ...] | None, nvml: Path | None
) -> None:
    """Windows, experts, states, several GPUs, none, and a machine of which nothing is known."""
    machine = FitMachine(nvml)
    for free in free_gib or ():
        machine.add_gpu(free)
    devices: Devices | None = None if free_gib is None else machine.devices()
    model = rows.model(rows.HEADERS, header)
    subject = Subject(name="some:model", model=model, request=OllamaRequest(cache_type="f16"))
    held = Held.against(devices, subject)
    now = judged(model, held.request, held.machine)
    table = StopTable(subject, held.machine, now, known=devices is not None)
    left = iter(range(3))

    table.work(lambda: next(left, None) is None)

    settings = [
        (cache, parallel) for cache in table.kv_cache_types for parallel in table.num_parallels
    ]
    found = table.stops().results
    known = [(at, stop) for at, stop in enumerate(found) if stop is not None]
    assert len(known) == 3
    for at, stop in known:
        cache, parallel = settings[at // len(table.context_lengths)]
        request = OllamaRequest(
            context_length=table.context_lengths[at % len(table.context_lengths)],
            cache_type=cache,
            num_parallel=parallel,
        )
        alone = Subject(name="some:model", model=model, request=request)
        assert said(stop) == said_by(report(alone, devices))
    machine.close()


async def test_models_of_one_request_offer_no_more(manager: Manager, machine: FitMachine) -> None:
    """An embedding model has the one context that it was made for, and one request at a time."""
    machine.add_gpu(20)

    card = await ask(manager, "nomic-embed-text")

    assert card.stops.num_parallels == (1,)
    assert card.stops.context_lengths == (2048,)
    assert card.report.basis == "catalog"
    assert card.check is None


# How soon


async def test_a_card_answers_before_all_stops_are_known(
    manager: Manager, machine: FitMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What takes longer is left open, and a second call waits for it, on the same machine."""
    machine.add_gpu(10)
    monkeypatch.setattr("modelwidgets.fitting._CARD_SECONDS", -1.0)

    first = await ask(manager, "qwen3:8b")
    machine.driver.state.gpus[0].free = GIB
    whole = await ask(manager, "qwen3:8b", whole=True)

    assert set(first.stops.results) == {None}
    assert None not in whole.stops.results
    assert whole.report == first.report
    at = whole.stops.context_lengths.index(first.report.context_length)
    assert said(whole.stops.results[at]) == said_by(first.report)


async def test_a_manager_that_ends_stops_working_on_cards(
    manager: Manager, machine: FitMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for stops that nobody will see."""
    machine.add_gpu(10)
    monkeypatch.setattr("modelwidgets.fitting._CARD_SECONDS", -1.0)
    await ask(manager, "qwen3:8b")
    (card,) = manager._fits._cards.values()

    manager._fits.close()
    began = time.monotonic()
    card.table.work(lambda: not manager._fits._cards)

    assert not card.table.complete
    assert time.monotonic() - began < 5


# What it refuses


async def test_what_names_no_model_is_refused(
    manager: Manager, model_server: ModelServer, tmp_path: Path
) -> None:
    """In our words; a page cannot ask for files, whatever it calls them."""
    own = tmp_path / "own.gguf"
    own.write_bytes(LLAMA.read_bytes())

    for name in ("", "../x", "a b", "x" * 400, "qwen3:8b\x1b[31m", "<b>:x", str(own)):
        with pytest.raises(InvalidNameError):
            await ask(manager, name)
    with pytest.raises(ManifestNotFoundError):
        await ask(manager, f"{model_server.registry.host_port}/someone/nothing:v1")


# What the server says


async def test_a_loaded_model_is_held_against_what_the_server_says(
    model_server: ModelServer, machine: FitMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`ps` counts weights, cache and buffers, and so does the estimate next to it."""
    gpu = machine.add_gpu(20)
    source = model_server.registry.add_model("someone/llama", {"model": LLAMA.read_bytes()})
    async with OllamaClient(model_server.url) as real:
        async for _step in real.pull(source, insecure=True):
            pass
        (installed,) = await real.list_models()
    scripted = ScriptedServer()
    scripted.install(installed.name, installed.digest)
    monkeypatch.setenv("OLLAMA_MODELS", str(model_server.store.folder))
    manager = Manager(scripted.client(), viewer="test")
    manager.start()
    await manager.watch.looked.wait()
    before = await ask(manager, installed.name)
    loaded = sum(term.size_bytes for term in before.report.terms if term.part != "overhead")
    on_gpu = before.report.gpu_bytes - 450 * 2**20
    gpu.free = 20 * GIB - on_gpu
    scripted.running = [
        {
            "name": installed.name,
            "model": installed.name,
            "digest": installed.digest,
            "size": loaded,
            "size_vram": on_gpu,
            "context_length": before.report.context_length,
        }
    ]

    card = await ask(manager, installed.name)

    assert before.report.basis == "header"
    assert before.check is None
    check = card.check
    assert check is not None
    assert (check.name, check.context_length) == (installed.name, before.report.context_length)
    assert (check.estimated_bytes, check.ps_bytes) == (loaded, loaded)
    assert check.ps_vram_bytes == on_gpu
    assert check.estimated_vram_bytes == pytest.approx(on_gpu, rel=0.01)
    await manager.close()
