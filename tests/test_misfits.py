"""Searches for what fits, and pulls of what does not."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from modelwidgets import ModelManager, catalog, cli, installed
from modelwidgets.fit_records import FitMark
from modelwidgets.marking import fits_by_name
from modelwidgets.memory.ram import Memory
from modelwidgets.text_fit import misfit_text
from tests.fake_nvml import GIB
from tests.fit import rows
from tests.fit_machine import FitMachine
from tests.model_server import ModelServer
from tests.text_records import HOSTILE

PATIENCE_SECONDS = 60
SMALL = Memory(total_bytes=2 * GIB, available_bytes=GIB // 8)


@pytest.fixture
def server(
    offline: None,
    model_server: ModelServer,
    machine: FitMachine,
    monkeypatch: pytest.MonkeyPatch,
) -> ModelServer:
    """On this machine, without a registry but its own."""
    monkeypatch.setenv("OLLAMA_HOST", model_server.url)
    return model_server


class Typed(io.StringIO):
    """A terminal at which somebody types."""

    def isatty(self) -> bool:
        return True


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    assert cli.main([*words, "--json"]) == 0
    return [row["name"] for row in json.loads(capsys.readouterr().out)]


# Searches


def test_python_and_the_terminal_find_what_fits(
    server: ModelServer, machine: FitMachine, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same rows, by the marks that a page has."""
    machine.add_gpu(7, total_gib=8)

    found = catalog("fits qwen3 size>1GB").result(PATIENCE_SECONDS)
    not_found = catalog("-fits qwen3 size>1GB").result(PATIENCE_SECONDS)
    marks = fits_by_name(_marks())
    told = printed(capsys, "catalog", "fits qwen3 size>1GB")

    fitting = {name for names in found.matching.values() for name in names}
    others = {name for names in not_found.matching.values() for name in names}
    assert {"qwen3:4b", "qwen3:8b"} <= fitting
    assert {"qwen3:32b", "qwen3:235b"} <= others
    assert told == [row.name for row in found]
    assert not found.note
    key = "registry.ollama.ai/library/qwen3"
    assert all(marks[f"{key}:{name.partition(':')[2]}"] for name in fitting if "qwen3:" in name)


def _marks() -> dict[str, FitMark]:
    async def ask(manager: Any) -> dict[str, FitMark]:
        found: dict[str, FitMark] = (await manager.fit_marks()).marks
        return found

    return ModelManager()._session.submit("marks", ask).result(PATIENCE_SECONDS)


def test_installed_models_that_fit_are_found(
    server: ModelServer, machine: FitMachine, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the RAM of a machine without a GPU; and none where there is too little of it."""
    name = server.name("chat:tiny")
    assert cli.main(["pull", name]) == 0
    capsys.readouterr()

    found = [row.name for row in installed("fits").result(PATIENCE_SECONDS)]
    told = printed(capsys, "list", "fits")
    machine.ram = Memory(total_bytes=GIB, available_bytes=0)
    later = installed("fits").result(PATIENCE_SECONDS)

    assert found == told == [name]
    assert list(later) == []


def test_of_a_remote_server_it_is_not_known(machine: FitMachine) -> None:
    """What fits here says nothing of it, and the note says so."""
    machine.add_gpu(22)
    remote = ModelManager("http://gpu.example:11434")

    found = remote.catalog("fits qwen3").result(PATIENCE_SECONDS)

    assert list(found) == []
    assert "Not known" in found.note
    remote.close()


# Pulls


def test_a_terminal_asks_before_it_pulls_what_does_not_fit(
    server: ModelServer,
    machine: FitMachine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With the numbers; `--force` asks nothing, and nor does a script, which is told."""
    machine.ram = SMALL
    name = server.name("chat:tiny")

    monkeypatch.setattr("sys.stdin", Typed("n\n"))
    refused = cli.main(["pull", name])
    asked = capsys.readouterr().err
    gone = printed(capsys, "list")
    monkeypatch.setattr("sys.stdin", io.StringIO())
    script = cli.main(["pull", name])
    told = capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", Typed(""))
    forced = cli.main(["pull", "--force", name])

    assert (refused, script, forced) == (1, 0, 0)
    assert f"{name} does not fit: it needs about" in asked
    assert "0.1 GiB of RAM are free. Pull it" in asked
    assert "Pull it all the same? [y/N]" in asked
    assert gone == []
    assert "It is pulled all the same." in told
    assert "does not fit" not in capsys.readouterr().err


def test_python_goes_on_and_says_so(server: ModelServer, machine: FitMachine) -> None:
    """Nobody can be asked there: the page of the manager has a notice."""
    machine.ram = SMALL
    manager = ModelManager()
    name = server.name("chat:tiny")

    ended = manager.pull(name).result(PATIENCE_SECONDS)
    notices = _until_told(manager)

    assert ended.state == "done"
    (notice,) = [one for one in notices if "does not fit" in one.text]
    assert notice.kind == "warning"
    assert f"{name} does not fit: it needs about" in notice.text


def _until_told(manager: ModelManager) -> list[Any]:
    import asyncio

    async def ask(core: Any) -> list[Any]:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not any("does not fit" in one.text for one in core.slices["notices"]):  # noqa: ASYNC110 - it comes
                await asyncio.sleep(0.05)
        found: list[Any] = core.slices["notices"]
        return found

    return manager._session.submit("notices", ask).result(PATIENCE_SECONDS)


def test_a_plan_says_whether_it_would_fit(server: ModelServer, machine: FitMachine) -> None:
    """Before a page asks for the pull; of what fits nobody is asked."""
    name = server.registry.add_model(
        "someone/llama", {"model": (rows.HEADERS / "llama3.1-8b-Q4_K_M.head").read_bytes()}
    )

    async def plan(core: Any) -> FitMark | None:
        fit: FitMark | None = (await core.plan_pull(name)).fit
        return fit

    manager = ModelManager()
    enough = manager._session.submit("plan", plan).result(PATIENCE_SECONDS)
    machine.ram = SMALL
    manager._session.submit("refresh", lambda core: core.refresh()).result(PATIENCE_SECONDS)
    small = manager._session.submit("plan", plan).result(PATIENCE_SECONDS)

    assert enough is not None
    assert small is not None
    assert (enough.verdict, enough.fits) == ("cpu", True)
    assert (small.verdict, small.fits) == ("no", False)


def test_hostile_names_stay_text() -> None:
    """Control characters of strangers do nothing."""
    mark = FitMark(
        verdict="no", fits=False, needed_bytes=GIB, gpu_layers=0, layer_count=None, basis="guess"
    )

    text = misfit_text(HOSTILE, mark, None)

    assert "\x1b" not in text
    assert "\u202e" not in text
    assert text.endswith("does not fit: it needs about 1.0 GiB.")
