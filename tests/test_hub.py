"""Models of the HuggingFace hub, asked by name, before a byte of weights is fetched."""

from __future__ import annotations

import json
import struct
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelwidgets import cli, fit, fit_table
from modelwidgets.errors import HubError, RegistryRefusedError, RegistryUnreachableError
from modelwidgets.fit_records import FitReport
from modelwidgets.stores.hub import HubName
from modelwidgets.stores.safetensors import MAX_HEADER_BYTES, read_counts
from modelwidgets.text_fit import fit_html, fit_text
from tests.hub_server import LLAMA, HubServer, safetensors, serving
from tests.text_records import HOSTILE

PATIENCE_SECONDS = 20
CONFIG = {
    **LLAMA,
    "architectures": ["LlamaForCausalLM"],
    "max_position_embeddings": 131072,
}
PARAMETERS = 8030261248
TENSORS = {"model.a": ("BF16", [PARAMETERS // 4096, 4096]), "model.b": ("F32", [16, 2, 2])}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache, no server, and a hub that nobody reaches."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    return tmp_path


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with serving() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


def ask(name: str | Path, **options: Any) -> FitReport:
    return fit(name, **{"ram": "64GiB", "devices": ["24GiB"], **options}).result(PATIENCE_SECONDS)


def terms(report: FitReport, part: str) -> int:
    return sum(term.size_bytes for term in report.terms if term.part == part)


def fill(folder: Path, config: object = None, files: dict[str, bytes] | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG if config is None else config))
    for name, raw in (files or {"model.safetensors": safetensors(TENSORS)}).items():
        (folder / name).write_bytes(raw)
    return folder


# Where it is found


def test_the_hub_says_how_many_parameters_there_are(hub: HubServer) -> None:
    """Two questions, no weights: the list of files with the count, and the config."""
    hub.repos["meta/llama"] = {
        "config.json": json.dumps(CONFIG).encode(),
        "model.safetensors": bytes(2000),
        "original/consolidated.00.pth": bytes(10),
    }
    hub.counts["meta/llama"] = {"parameters": {"BF16": PARAMETERS}, "total": PARAMETERS}

    report = ask("hf:meta/llama", context_length=8192)

    assert terms(report, "weights") == 2 * PARAMETERS
    assert terms(report, "kv_cache") == 1 << 30
    assert (report.verdict, report.basis, report.download_bytes) == ("full", "manifest", 2000)
    assert sum(term.size_bytes for term in report.terms) == report.total_bytes
    assert [line.split()[0] for line in hub.asked] == [
        "/api/models/meta/llama/revision/main",
        "/meta/llama/resolve/main/config.json",
        "/stored/meta/llama/config.json",
    ]


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_headers_are_read_where_the_hub_did_not_count(hub: HubServer, knows_ranges: bool) -> None:
    """Only the start of each file is fetched, and a server without ranges is cut off."""
    hub.knows_ranges = knows_ranges
    parts = {f"model-0000{n}-of-00002.safetensors": n for n in (1, 2)}
    tensors = {f"model.layers.{n}.weight": ("F16", [4096, 1000]) for n in range(2000)}
    hub.repos["org/big"] = {
        "config.json": json.dumps(CONFIG).encode(),
        **{name: safetensors(tensors, data_bytes=64 << 20) for name in parts},
    }

    report = ask("hf:org/big@v1.0")

    assert terms(report, "weights") == 2 * 2 * 2000 * 4096 * 1000
    assert report.name == "hf:org/big@v1.0"
    assert hub.sent_bytes < (1 << 20 if knows_ranges else 32 << 20)
    assert sum("bytes=" in line for line in hub.asked) == 8  # each redirected once


def test_the_cache_is_read_first(hub: HubServer, home: Path) -> None:
    """What huggingface_hub has downloaded needs no hub; what is incomplete there does."""
    folder = home / "hub" / "models--org--small"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(COMMIT)
    fill(folder / "snapshots" / COMMIT)

    report = ask("hf:org/small")
    by_commit = ask(f"hf:org/small@{COMMIT}")

    assert terms(report, "weights") == terms(by_commit, "weights") == 2 * PARAMETERS + 4 * 64
    assert (report.basis, report.installed, hub.asked) == ("header", True, [])
    (folder / "snapshots" / COMMIT / "model.safetensors").unlink()
    with pytest.raises(RegistryRefusedError, match="hf download org/small"):
        ask("hf:org/small")


def test_a_folder_is_a_name_too(home: Path) -> None:
    """A model that was trained here, in all parts that its index names and no other."""
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    files = {
        "model-1.safetensors": safetensors({"a": ("F16", [1000, 10])}),
        "model-2.safetensors": safetensors({"b": ("F16", [1000, 10])}),
        "consolidated.safetensors": safetensors({"c": ("F16", [1000, 20])}),
    }
    folder = fill(home / "mine", files=files)
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))

    reports = [ask(folder), ask(str(folder))]

    assert [terms(report, "weights") for report in reports] == [2 * 20000] * 2


# What is said


def test_the_verdict_follows_the_devices(home: Path) -> None:
    """Whole, partly, on the CPU, nowhere; each GPU has its share of the layers."""
    folder = fill(home / "mine")

    found = {
        label: ask(folder, devices=devices, ram=ram)
        for label, devices, ram in (
            ("full", ["24GiB"], "64GiB"),
            ("two", ["12GiB", "12GiB"], "64GiB"),
            ("partial", ["12GiB"], "64GiB"),
            ("cpu", [], "64GiB"),
            ("no", [], "8GiB"),
        )
    }

    verdicts = {label: report.verdict for label, report in found.items()}
    assert verdicts == {
        "full": "full",
        "two": "full",
        "partial": "partial",
        "cpu": "cpu",
        "no": "no",
    }
    assert {term.gpu for term in found["two"].terms} == {0, 1}
    assert {term.gpu for term in found["partial"].terms} == {0, None}
    assert all(
        report.total_bytes == sum(t.size_bytes for t in report.terms) for report in found.values()
    )
    assert found["full"].recommended_gpu is not None


def test_what_would_help_was_tried(home: Path) -> None:
    """Four bits fit where sixteen do not, and the same memory says so."""
    report = ask(fill(home / "mine"), devices=["12GiB"])

    best = report.suggestions[0]
    assert (best.change, best.verdict) == ("quantization", "full")
    assert best.total_bytes < 12 << 30
    assert "bitsandbytes" in fit_text(report)


def test_a_model_that_only_reads_keeps_no_cache(home: Path) -> None:
    """An embedding model has weights and one step of work."""
    config = {**CONFIG, "architectures": ["BertModel"]}

    report = ask(fill(home / "mine", config), context_length=1 << 30)

    assert terms(report, "kv_cache") == 0
    assert report.context_length == 131072
    assert any("131072 tokens at most" in note for note in report.notes)


def test_the_terminal_takes_the_same_names(
    hub: HubServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """`modelwidgets fit hf:...` prints the report and ends with its code; tables take both."""
    hub.repos["meta/llama"] = {
        "config.json": json.dumps(CONFIG).encode(),
        "model.safetensors": safetensors(TENSORS),
    }

    code = cli.main(["fit", "hf:meta/llama", "--device", "12GiB", "--ram", "64GiB"])

    assert code == 3
    assert "hf:meta/llama: runs with" in capsys.readouterr().out
    rows = fit_table(["hf:meta/llama", "hf:no/body"], devices=["24GiB"]).result(PATIENCE_SECONDS)
    assert [(row.verdict, row.error is None) for row in rows] == [("full", True), (None, False)]


# What is refused


@pytest.mark.parametrize(
    "text",
    ["hf:", "hf:a/b/c", "hf:../etc", "hf:a/..", "hf:a b", "hf:a/b@", "hf:a/b@../x", "hf:-a/b"],
)
def test_odd_names_are_refused_with_the_right_form(text: str) -> None:
    """No text reaches a path or an address that is no name."""
    with pytest.raises(HubError, match="hf:org/repo"):
        ask(text)


def test_names_read_as_they_are_written() -> None:
    """With and without a revision, and old ones of one part."""
    assert [str(HubName.parsed(text)) for text in ("hf:a/b", "hf:a/b@main", "hf:gpt2@v1")] == [
        "hf:a/b",
        "hf:a/b",
        "hf:gpt2@v1",
    ]


def test_each_refusal_says_what_to_do(hub: HubServer, home: Path, monkeypatch: Any) -> None:
    """Not there, GGUF instead, other formats, an empty folder, no network, a wrong address."""
    config = json.dumps(CONFIG).encode()
    hub.repos["a/gguf"] = {"config.json": config, "x.Q4_K_M.gguf": b""}
    hub.repos["a/bin"] = {"config.json": config, "pytorch_model.bin": b""}
    (home / "empty").mkdir()

    for name, error, words in (
        ("hf:no/body", RegistryRefusedError, "Check the spelling"),
        ("hf:a/gguf", HubError, "hf.co/org/repo:quant"),
        ("hf:a/bin", HubError, "safetensors"),
        (home / "empty", HubError, "config.json"),
    ):
        with pytest.raises(error, match=words):
            ask(name)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(RegistryUnreachableError, match="Check the network"):
        ask("hf:a/bin")
    monkeypatch.setenv("HF_ENDPOINT", "ftp://hub")
    with pytest.raises(HubError, match="HF_ENDPOINT"):
        ask("hf:a/bin")


DEEP = b"[" * 500_000
HEADERS = {
    "too short": b"abc",
    "no length": struct.pack("<Q", 0),
    "endless": struct.pack("<Q", 1 << 62) + b"{}",
    "longer than the file": struct.pack("<Q", 1000) + b"{}",
    "no JSON": struct.pack("<Q", 4) + b"[[[[",
    "no object": struct.pack("<Q", 2) + b"[]",
    "deep": struct.pack("<Q", len(DEEP)) + DEEP,
    "lists": struct.pack("<Q", 6_000_002) + b"[" + b"[]," * 2_000_000 + b"]",
    "huge number": safetensors({"a": ("F16", [10**30])}),
    "odd number": safetensors({"a": ("F16", [-1])}),
    "true": safetensors({"a": ("F16", [True])}),
    "many axes": safetensors({"a": ("F16", [1] * 99)}),
}


@pytest.mark.parametrize("raw", HEADERS.values(), ids=HEADERS)
def test_hostile_headers_are_refused_without_much_memory(home: Path, raw: bytes) -> None:
    """A file gets as far as its bounds, and 64 MiB at most."""
    path = home / "model.safetensors"
    path.write_bytes(raw)
    tracemalloc.start()
    try:
        with pytest.raises(HubError, match="Download it again"):
            read_counts(path)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()
    assert len(raw) < MAX_HEADER_BYTES


@pytest.mark.parametrize(
    "config",
    [
        b"[" * 900_000,
        b"[]",
        b'{"a": ' + b" " * (1 << 20) + b"1}",
        b"\xff\xfe",
        b'{"num_hidden_layers": ' + b"9" * 5000 + b"}",
    ],
    ids=["deep", "list", "long", "bytes", "digits"],
)
def test_a_hostile_config_is_refused(home: Path, config: bytes) -> None:
    """It is bounded before it is read."""
    folder = fill(home / "mine")
    (folder / "config.json").write_bytes(config)

    with pytest.raises(HubError, match=r"config\.json"):
        ask(folder)


def test_odd_dimensions_cost_nothing(home: Path) -> None:
    """A config may say anything of its right types or wrong ones: the report stands."""
    config = {
        "architectures": [HOSTILE, 5, None],
        "num_hidden_layers": 1 << 29,
        "num_attention_heads": -3,
        "hidden_size": "many",
        "vocab_size": 1e300,
        "layer_types": {"a": 1},
        "text_config": [1],
        "max_position_embeddings": 10**40,
    }

    report = ask(fill(home / HOSTILE.replace("/", "")[:40].replace("\0", ""), config))

    assert terms(report, "weights") == 2 * PARAMETERS + 4 * 64
    assert "<script" not in fit_html(report)
    assert report.layer_count <= 1025
