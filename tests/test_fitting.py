"""Will it fit: asked by name, before a byte of weights is fetched."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelwidgets import ModelManager, cli, fit, fit_table
from modelwidgets.device_records import Devices, Gpu, GpuProcess
from modelwidgets.errors import ManifestNotFoundError, RegistryError, UnknownDeviceError
from modelwidgets.fit_records import FitReport, FitRow
from modelwidgets.gguf import read_header
from modelwidgets.library import load_catalog
from modelwidgets.memory.kv_cache import CacheOptions
from modelwidgets.memory.layout import RunOptions
from modelwidgets.memory.outline import outlined
from modelwidgets.memory.placement import GpuMemory, place
from modelwidgets.records import RunningModel
from modelwidgets.rows import Rows
from modelwidgets.text_fit import fit_html, fit_table_text, fit_text
from tests.fit import rows
from tests.model_server import ModelServer
from tests.text_records import HOSTILE

pytestmark = pytest.mark.usefixtures("offline")
GIB = 1 << 30
LLAMA = rows.HEADERS / "llama3.1-8b-Q4_K_M.head"
MOE = rows.HEADERS / "qwen3-30b-a3b-Q4_K_M.head"
PATIENCE_SECONDS = 20
Ask = Callable[..., FitReport]


@pytest.fixture
def server(model_server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> ModelServer:
    monkeypatch.setenv("OLLAMA_HOST", model_server.url)
    return model_server


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """No server answers; whether a model fits can be told all the same."""
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")


def ask(name: str | Path, **options: Any) -> FitReport:
    return fit(name, **{"ram": "64GiB", "devices": ["24GiB"], **options}).result(PATIENCE_SECONDS)


def terms(report: FitReport, part: str) -> int:
    return sum(term.size_bytes for term in report.terms if term.part == part)


def serve(server: ModelServer, name: str, header: Path, **layers: bytes) -> str:
    """Let the registry have a model of which only the header is real."""
    return server.registry.add_model(f"someone/{name}", {"model": header.read_bytes(), **layers})


# What is said


@pytest.mark.parametrize(
    ("devices", "ram", "verdict"),
    [
        (["24GiB"], "64GiB", "full"),
        (["6GiB"], "64GiB", "partial"),
        (["3GiB", "3GiB"], "64GiB", "partial"),
        ([], "64GiB", "cpu"),
        ([], "2GiB", "no"),
        (["2GiB"], "1GiB", "no"),
    ],
)
def test_the_verdict_follows_the_devices(
    nobody: None, devices: list[str], ram: str, verdict: str
) -> None:
    """One model, from a card that holds it to a machine that cannot."""
    assert ask(LLAMA, context_length=8192, devices=devices, ram=ram).verdict == verdict


def test_experts_are_what_goes_to_ram(nobody: None) -> None:
    """A model of experts keeps all of its layers on a GPU that is too small for it."""
    report = ask(MOE, context_length=8192, devices=["12GiB"])

    assert report.verdict == "moe-partial"
    assert (report.gpu_layers, report.layer_count) == (49, 49)
    assert 0 < report.experts_in_ram <= 48
    assert f"experts of {report.experts_in_ram} of 48 layers in RAM" in fit_text(report)


def test_the_terms_are_those_of_the_estimate(nobody: None) -> None:
    """Weights and cache are exact, the sum is the total, and each term says what it is from."""
    report = ask(LLAMA, context_length=8192)

    header = read_header(LLAMA)
    table = next(one for one in header.tensors if one.name == "token_embd.weight").size_bytes
    in_ram = [term for term in report.terms if term.gpu is None and term.part == "weights"]
    assert [term.size_bytes for term in in_ram] == [table]
    assert terms(report, "kv_cache") == 1024 << 20
    assert sum(term.size_bytes for term in report.terms) == report.total_bytes
    assert report.total_bytes == report.gpu_bytes + report.ram_bytes
    assert (report.least_bytes, report.most_bytes) == (report.total_bytes,) * 2
    assert report.basis == "header"
    assert {term.basis for term in report.terms if term.part != "overhead"} == {"header"}


def test_a_program_takes_memory_before_it_holds_anything(nobody: None) -> None:
    """The context of a card grows with its multiprocessors, and stands among the terms."""
    small = ask(LLAMA, context_length=4096, devices=["RTX 4060 Ti 16GB"])
    large = ask(LLAMA, context_length=4096, devices=["RTX 5090"])

    assert terms(small, "overhead") == pytest.approx(208 << 20, rel=0.01)
    assert terms(large, "overhead") == pytest.approx(603 << 20, rel=0.01)


def test_the_server_chooses_the_context_that_is_not_asked_for(nobody: None) -> None:
    """By the memory of all GPUs, and never more than the model was made for."""
    found = [ask(LLAMA, devices=devices).context_length for devices in (["8GiB"], ["24GiB"])]

    assert found == [4096, 32768]
    assert ask(LLAMA, context_length=1 << 20).context_length == 131072


def test_more_requests_need_more(nobody: None) -> None:
    """Each request has a context of its own."""
    one, four = (ask(LLAMA, context_length=4096, num_parallel=count) for count in (1, 4))

    assert terms(four, "kv_cache") == 4 * terms(one, "kv_cache")


# What would help


@pytest.mark.parametrize("change", ["context", "cache", "parallel"])
def test_what_is_suggested_holds(nobody: None, change: str) -> None:
    """Whoever does what is suggested gets the verdict and the total that were promised."""
    asked = {"context_length": 16384, "num_parallel": 4, "devices": ["12GiB"]}
    before = ask(LLAMA, **asked)
    assert before.verdict == "partial"

    (found,) = [one for one in before.suggestions if one.change == change]

    changed = {
        **asked,
        "context_length": found.context_length,
        "kv_cache_type": found.kv_cache_type,
        "num_parallel": found.num_parallel,
    }
    after = ask(LLAMA, **changed)
    assert (after.verdict, after.total_bytes) == (found.verdict, found.total_bytes)
    assert changed != {"kv_cache_type": "f16", **asked}


def test_nothing_is_suggested_where_it_fits(nobody: None) -> None:
    """Suggestions are there to make a model fit."""
    assert ask(LLAMA, context_length=8192).suggestions == ()


def test_a_smaller_quantization_of_the_family_is_offered(nobody: None) -> None:
    """With its name and the size of its download, from the catalog, and computed."""
    catalog = load_catalog()
    family = catalog.get("gemma4:26b")
    assert family is not None
    report = ask("gemma4:26b", context_length=4096, devices=["17.5GiB"])
    assert report.verdict != "full"

    (found,) = [one for one in report.suggestions if one.change == "quantization"]

    tag = next(tag for tag in family.tags if tag.name == found.name)
    assert found.download_bytes == tag.size_bytes
    assert found.basis == "catalog"
    assert found.verdict == "full"


def test_the_recommended_gpu_holds_it_and_a_smaller_one_does_not(nobody: None) -> None:
    """The class is computed: its examples hold the model whole, the class below does not."""
    report = ask(LLAMA, context_length=8192, devices=["6GiB"])

    best = report.recommended_gpu
    assert best is not None
    assert (best.memory_bytes, best.count) == (8 * GIB, 1)
    held = [ask(LLAMA, context_length=8192, devices=[f"{card} 8GB"]) for card in best.cards]
    assert {one.verdict for one in held} == {"full"}
    below = ask(LLAMA, context_length=8192, devices=["RTX 2060 6GB"])
    assert below.verdict != "full"


def test_what_no_card_holds_is_recommended_several(nobody: None) -> None:
    """Two cards, four or eight where one is too small."""
    best = ask("deepseek-r1:671b", context_length=4096).recommended_gpu

    assert best is not None
    assert best.count > 1
    assert best.count * best.memory_bytes > best.needed_bytes


# Where a model is looked for


def test_a_name_of_a_registry_costs_its_header_only(server: ModelServer) -> None:
    """The answer is that of the file, and no more than its first megabytes are asked for."""
    name = serve(server, "llama:8b", LLAMA, params=b'{"num_ctx": 2048}')

    report = ask(name)

    assert report.basis == "header"
    assert report.context_length == 2048
    local = ask(LLAMA, context_length=2048)
    assert [term.size_bytes for term in report.terms] == [term.size_bytes for term in local.terms]
    assert not report.installed


def test_an_installed_model_is_said_to_be(server: ModelServer) -> None:
    """Its header is read from the store."""
    name = server.name("embed:tiny")
    manager = ModelManager(server.url)
    manager.pull(name).result(PATIENCE_SECONDS)

    report = manager.fit(name, devices=["24GiB"], ram="8GiB").result(PATIENCE_SECONDS)

    assert report.installed
    assert report.basis == "header"
    manager.close()


def test_without_a_network_the_catalog_answers(nobody: None) -> None:
    """It says so, gives a range, and is near what the header says."""
    report = ask("llama3.1:8b", context_length=8192)

    exact = ask(LLAMA, context_length=8192)
    assert (report.basis, exact.basis) == ("catalog", "header")
    assert report.least_bytes <= exact.total_bytes <= report.most_bytes
    assert any("cannot be reached" in note for note in report.notes)
    assert any("catalog's dimensions" in note for note in report.notes)


def test_the_catalog_bounds_the_context(nobody: None) -> None:
    """No model is judged for a context that it was not made for."""
    report = ask("nomic-embed-text", context_length=1 << 20)

    assert report.context_length == 2048
    assert any("at most" in note for note in report.notes)


def test_a_name_that_nobody_knows_is_an_error(server: ModelServer) -> None:
    """A name without sizes has no verdict."""
    with pytest.raises(ManifestNotFoundError):
        ask(f"{server.registry.host_port}/someone/nothing:v1")
    with pytest.raises(RegistryError, match="cannot be reached"):
        ask("someone/unknown")


def test_an_unknown_architecture_gives_a_range(nobody: None, tmp_path: Path) -> None:
    """And the report says that it is one."""
    renamed = tmp_path / "new.gguf"
    renamed.write_bytes(LLAMA.read_bytes().replace(b"llama", b"fnord"))

    report = ask(renamed, context_length=8192)

    assert not report.known_architecture
    assert report.least_bytes < report.total_bytes < report.most_bytes
    assert any("architecture fnord is not known here" in note for note in report.notes)


def test_only_the_size_is_a_guess_and_says_so(server: ModelServer) -> None:
    """A model in safetensors has no dimensions that are known here."""
    # its tensors are layers of their own
    name = server.registry.add_model("someone/mlx:v1", {"tensor": bytes(4096)})

    report = ask(name)

    assert report.basis == "guess"
    assert report.least_bytes == 4096
    assert any("Only its size is known" in note for note in report.notes)


# The machine


def test_a_remote_server_is_never_judged_by_what_is_here() -> None:
    """There is no verdict; what it needs is told, and how to get one."""
    here = ModelManager("http://gpu.example:11434")

    report = here.fit(LLAMA, context_length=8192).result(PATIENCE_SECONDS)
    named = here.fit(LLAMA, context_length=8192, devices=["24GiB"]).result(PATIENCE_SECONDS)

    assert (report.verdict, report.devices, report.suggestions) == (None, None, ())
    assert any("another machine" in note and "devices=" in note for note in report.notes)
    assert named.verdict == "full"
    assert any("RAM of that machine is not known" in note for note in named.notes)
    here.close()


def test_a_device_that_nobody_knows_is_an_error(nobody: None) -> None:
    """It names what was written."""
    with pytest.raises(UnknownDeviceError, match="fnord"):
        ask(LLAMA, devices=["fnord"])


@pytest.mark.parametrize(
    "wrong", [{"context_length": 0}, {"num_parallel": 0}, {"kv_cache_type": "q3_9"}]
)
def test_what_no_server_takes_is_refused_at_once(nobody: None, wrong: dict[str, Any]) -> None:
    """Before anything is asked."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        fit(LLAMA, **wrong)


def test_who_else_uses_the_memory_is_told(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Programs and loaded models, and what unloading one of these would do."""
    card = Gpu(
        index=0,
        name="RTX 3060",
        uuid=None,
        total_bytes=12 * GIB,
        free_bytes=5 * GIB,
        unified=False,
        error=None,
        library="cuda",
        multiprocessors=28,
        processes=(GpuProcess(pid=4711, name="python", used_bytes=2 * GIB),),
    )
    devices = Devices(
        gpus=(card,),
        driver="600.1",
        reason=None,
        ram_total_bytes=64 * GIB,
        ram_available_bytes=32 * GIB,
    )
    loaded = RunningModel(
        name="other:7b",
        digest="0" * 64,
        size_bytes=5 * GIB,
        size_vram_bytes=5 * GIB,
        expires_at=None,
        context_length=4096,
    )

    async def running(_client: object) -> list[RunningModel]:
        return [loaded]

    monkeypatch.setattr("modelwidgets.fitting.local_devices", lambda _url: devices)
    monkeypatch.setattr("modelwidgets.stores.ollama.OllamaClient.list_running", running)
    report = fit(LLAMA, context_length=8192).result(PATIENCE_SECONDS)

    assert report.verdict == "partial"
    assert [(one.name, one.gpu) for one in report.users] == [("other:7b", None), ("python", 0)]
    (unload,) = [one for one in report.suggestions if one.change == "unload"]
    assert unload.verdict == "full"
    assert "Unloading other:7b" in unload.text


# How it is shown


def test_a_report_shows_itself(nobody: None) -> None:
    """As text in a terminal and as a table in a notebook, with the same numbers."""
    report = ask(LLAMA, context_length=8192)

    text, html = fit_text(report), fit_html(report)

    assert report._repr_html_() == html
    assert text.splitlines()[0] == f"{LLAMA}: fits whole on the GPU."
    assert "1024.00 MiB   header of the file" in text
    assert "1024.00 MiB</td>" in html
    assert "In all" in text


def test_hostile_names_stay_text(nobody: None) -> None:
    """Markup and control characters of strangers do nothing."""
    report = dataclasses.replace(ask(LLAMA, context_length=8192), name=HOSTILE, notes=(HOSTILE,))

    text, html = fit_text(report), fit_html(report)

    assert "<img" not in html
    assert "\x1b" not in text + html
    assert "\u202e" not in text + html


def test_a_table_has_a_line_for_each_and_a_reason_where_there_is_none(
    nobody: None, tmp_path: Path
) -> None:
    """One model of which nothing is known keeps none of the others from being judged."""
    table = fit_table(
        [LLAMA, "qwen3:8b", "someone/unknown"], context_length=8192, devices=["24GiB"], ram="64GiB"
    ).result(PATIENCE_SECONDS)

    assert [row.verdict for row in table] == ["full", "full", None]
    assert table[0].total_bytes == ask(LLAMA, context_length=8192).total_bytes
    assert "cannot be reached" in (table[2].error or "")
    head, *lines = table.to_csv(tmp_path / "fit.csv").splitlines()
    assert head.split(",") == [field.name for field in dataclasses.fields(FitRow)]
    assert len(lines) == 3
    shown = fit_table_text(table)
    assert "whole on the GPU" in shown
    assert "someone/unknown: The registry" in shown
    html = Rows([dataclasses.replace(table[0], name=HOSTILE)])._repr_html_() or ""
    assert "<td" in html
    assert "<img" not in html


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--device", "24GiB"], 0),
        (["--device", "6GiB"], 3),
        (["--device", "none"], 4),
        (["--device", "none", "--ram", "2GiB"], 5),
        (["--url", "http://gpu.example:11434"], 6),
        (["--device", "fnord"], 1),
    ],
)
def test_the_exit_code_tells_the_verdict(
    nobody: None, capsys: pytest.CaptureFixture[str], words: list[str], code: int
) -> None:
    """A script need not read what is printed."""
    ram = [] if "--ram" in words else ["--ram", "64GiB"]

    assert cli.main(["fit", str(LLAMA), "--ctx", "8192", *ram, *words]) == code


def test_the_command_prints_what_python_gives(
    nobody: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """The report as JSON, and several models as a table of which the worst decides."""
    common = ["--ctx", "8192", "--device", "8GiB", "--ram", "64GiB"]

    cli.main(["fit", str(LLAMA), *common, "--json"])
    found = json.loads(capsys.readouterr().out)
    code = cli.main(["fit", str(LLAMA), str(MOE), *common])

    assert found["total_bytes"] == ask(LLAMA, context_length=8192, devices=["8GiB"]).total_bytes
    assert code == 3
    assert "experts in RAM" in capsys.readouterr().out


# Models of which the file is not read


@pytest.mark.parametrize("name", ["llama3.1-8b-Q4_K_M", "qwen3-30b-a3b-Q4_K_M", "gemma3-4b-Q8_0"])
@pytest.mark.parametrize("free_gib", [4, 8, 12, 24])
def test_an_outline_agrees_with_the_header(name: str, free_gib: int) -> None:
    """Away from the border dimensions and size give the header's verdict, and nearly its sum."""
    exact = rows.model(rows.HEADERS, name)
    run = RunOptions(cache=CacheOptions(context_tokens=8192))
    gpus = [GpuMemory(free_bytes=free_gib * GIB)]

    found = place(outlined(rows.DIMENSIONS[name], exact.file_bytes), run, gpus)

    placed = place(exact, run, gpus)
    assert found.verdict == placed.verdict
    assert found.estimate.total_bytes == pytest.approx(placed.estimate.total_bytes, rel=0.06)
    assert found.gpu_layers == pytest.approx(placed.gpu_layers, abs=3)


def test_the_catalog_s_own_sum_of_a_cache_is_met() -> None:
    """Compressed attention, states and windows are told in other words there than in files."""
    from modelwidgets.memory.kv_cache import attention_bytes

    options = CacheOptions(context_tokens=32768)
    wrong = []
    for key, dimensions in load_catalog().architectures.items():
        shape = outlined(dimensions, 1 << 30).shape
        stated = dimensions.get("kv_bytes_per_token_f16")
        # Llama 4 looks at chunks, which the catalog's sum leaves out
        if not isinstance(stated, int) or dimensions.get("gguf_architecture") == "llama4":
            continue
        window = dimensions.get("kv_window_bytes_f16", 0)
        assert isinstance(window, int)
        found = sum(attention_bytes(shape, layer, options) for layer in shape.layers)
        if found != pytest.approx(stated * 32768 + window, rel=0.2):
            wrong.append(key)

    assert wrong == []
