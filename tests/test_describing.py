"""Everything known of a model, from the real store and from servers that are no help."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import modelwidgets
from modelwidgets.errors import ModelNotFoundError, OllamaUnreachableError
from modelwidgets.library import Catalog, load_catalog
from modelwidgets.manager import Manager
from modelwidgets.quantization import WEIGHTS
from modelwidgets.stores.registry import RegistryClient
from modelwidgets.text_details import details_text
from tests.model_server import ModelServer
from tests.scripted import ManualClock, ScriptedServer

CHAT, TERSE, EMBED = "chat:tiny", "chat:terse", "embed:tiny"
SHOWN: dict[str, Any] = {
    "modelfile": "FROM llama3.2",
    "parameters": 'stop "<|eot_id|>"',
    "template": "{{ .Prompt }}",
    "system": "Be brief.",
    "license": "LLAMA 3.2 COMMUNITY LICENSE",
    "details": {
        "format": "gguf",
        "family": "llama",
        "families": ["llama", "clip"],
        "parameter_size": "3.2B",
        "quantization_level": "Q4_K_M",
    },
    "capabilities": ["completion", "tools"],
    "model_info": {"general.architecture": "llama", "llama.context_length": 131072},
}


class Server(ScriptedServer):
    """Also answers what is inside a model, in a way that the test wants."""

    shown = httpx.Response(200, json=SHOWN)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/show" and not self.down:
            return self.shown
        return await super()._answer(request)


@pytest.fixture
def server() -> Server:
    server = Server()
    server.install("llama3.2:3b", "a" * 64)
    return server


@pytest.fixture
async def manager(server: Server) -> AsyncIterator[Manager]:
    nothing = Catalog(as_of="2026-01-01", models=(), problems=(), architectures={})
    manager = Manager(
        server.client(), viewer="test", clock=ManualClock(), load_catalog=lambda: nothing
    )
    manager.start()
    await manager.watch.looked.wait()
    yield manager
    await manager.close()


async def test_the_details_show_at_least_what_was_asked_for(manager: Manager) -> None:
    """Each fact stands in the record and in a terminal's text."""
    details = await manager.details("llama3.2:3b")

    info, text = details.info, details_text(details)
    assert info is not None
    assert details.installed is not None
    for recorded, told in (
        (info.modelfile, "FROM llama3.2"),
        (info.parameters_text, 'stop "<|eot_id|>"'),
        (info.template, "{{ .Prompt }}"),
        (info.system, "Be brief."),
        (info.license, "LLAMA 3.2 COMMUNITY LICENSE"),
        (info.format, "gguf"),
        (info.family, "llama"),
        (", ".join(info.families), "llama, clip"),
        (info.parameter_size, "3.2B"),
        (info.quantization, "Q4_K_M"),
        (", ".join(info.capabilities or ()), "completion, tools"),
        (str(info.max_context_length), "131072"),
        (details.installed.digest, "a" * 64),
    ):
        assert recorded == told
        assert told.replace("3.2B", "3.2 B") in text


async def test_a_model_that_the_server_cannot_read_is_shown_as_far_as_known(
    manager: Manager, server: Server
) -> None:
    """The list's facts stay, and what is wrong stands beside them in the server's words."""
    server.shown = httpx.Response(500, json={"error": "invalid file magic"})

    details = await manager.details("llama3.2:3b")

    assert details.info is None
    assert details.installed is not None
    assert str(details.problem).startswith("The server cannot read this model. invalid file magic")


async def test_an_answer_that_is_no_details_is_no_end_either(
    manager: Manager, server: Server
) -> None:
    """Where a field is of a wrong kind, that is what is said."""
    server.shown = httpx.Response(200, json={**SHOWN, "license": 7})

    details = await manager.details("llama3.2:3b")

    assert "`license` is of a wrong kind" in str(details.problem)


async def test_a_model_without_families_and_labels_has_details(
    manager: Manager, server: Server
) -> None:
    """Old servers and odd files write null; nothing is made up for it."""
    empty = {"details": {"families": None}, "model_info": None}
    server.shown = httpx.Response(200, json=empty)
    server.models[0]["details"] = {"families": None}

    details = await manager.details("llama3.2:3b")

    assert details.info is not None
    assert details.info.families == ()
    assert details.quantization is None
    assert details.problem is None
    assert details.snippets[0].code.startswith("from ollama import Client")


async def test_a_model_that_was_deleted_meanwhile_is_said_and_the_list_follows(
    manager: Manager, server: Server
) -> None:
    """The row that led here goes away."""
    server.models = []
    server.shown = httpx.Response(404, json={"error": "model 'llama3.2:3b' not found"})

    with pytest.raises(ModelNotFoundError, match="not found"):
        await manager.details("llama3.2:3b")
    await manager.refresh()

    assert manager.installed.models == ()


async def test_a_server_that_is_down_gives_no_details(manager: Manager, server: Server) -> None:
    """The error says what to do, so that the page can offer to try again."""
    server.down = True

    with pytest.raises(OllamaUnreachableError, match="ollama serve"):
        await manager.details("llama3.2:3b")


def test_layers_tell_where_they_lie_and_who_shares_them(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two models' weights lie there once; bits are computed of them, however the name is spelt."""
    name, terse = have(model_server, monkeypatch, CHAT, TERSE)

    details = modelwidgets.details(name.upper()).result(20)

    weights = details.layers[0]
    config = details.layers[-1]
    assert (weights.media_type, weights.shared_with) == (WEIGHTS, (terse,))
    assert config.shared_with == ()
    assert [Path(str(layer.path)).stat().st_size for layer in details.layers] == [
        layer.size_bytes for layer in details.layers
    ]
    assert json.loads(Path(str(details.manifest_path)).read_text())["layers"]
    assert details.manifest is not None
    assert sum(layer.size_bytes for layer in details.layers) == details.manifest.total_bytes
    assert details.info is not None
    assert details.quantization is not None
    count = details.info.model_info["general.parameter_count"]
    assert details.quantization.bits_per_weight == weights.size_bytes * 8 / count


def test_a_damaged_model_tells_what_is_missing(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights are gone from the disk, while the model is still listed."""
    (name,) = have(model_server, monkeypatch, EMBED)
    weights = modelwidgets.details(name).result(20).layers[0]
    Path(str(weights.path)).unlink()

    details = modelwidgets.details(name).result(20)

    assert details.installed is not None
    assert details.layers[0].path is None
    assert "missing on disk. Pull it again, or delete it." in str(details.problem)
    assert "missing" in details_text(details)


def test_code_follows_from_the_model_and_its_server(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An embedding model embeds, and a store that runs nothing says so."""
    (embed,) = have(model_server, monkeypatch, EMBED)

    embedding = modelwidgets.snippets(embed).result(20)

    assert "client.embed(" in embedding[0].code
    assert f'host="{model_server.url}"' in embedding[0].code
    assert "runs none" in str(embedding[0].note)
    assert [one.title for one in embedding] == [
        "Ollama client",
        "OpenAI client",
        "LangChain",
        "LlamaIndex",
        "curl",
    ]


async def test_a_catalog_model_has_details_without_a_server(server: Server) -> None:
    """Its quantization is that of the tag, and the code says to pull it first."""
    manager = Manager(
        server.client(), viewer="test", clock=ManualClock(), load_catalog=load_catalog
    )

    details = await manager.details("nomic-embed-text:latest")

    await manager.close()
    assert details.installed is None
    assert details.catalog is not None
    assert details.quantization is not None
    assert details.quantization.scheme == "F16"
    assert details.quantization.bits_per_weight == 16
    assert "client.embed(" in details.snippets[0].code
    assert "pull it first" in str(details.snippets[0].note)
    assert details.info is None
    assert details.basis == "catalog"
    assert details.tag is not None
    assert details.tag.context_length == 2048
    assert "Known from    the catalog" in details_text(details)


async def test_what_only_a_registry_knows_has_details(server: Server) -> None:
    """Its size and digest are the registry's; what nobody knows is an error with a next step."""
    layer = {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{'b' * 64}"}
    config = {"mediaType": "application/json", "digest": f"sha256:{'c' * 64}", "size": 10}
    manifest = {"schemaVersion": 2, "config": config, "layers": [layer | {"size": 4_000_000_000}]}

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path != "/v2/ada/notes/manifests/q8":
            return httpx.Response(404, stream=httpx.ByteStream(b""))
        return httpx.Response(200, stream=httpx.ByteStream(json.dumps(manifest).encode()))

    manager = Manager(
        server.client(),
        viewer="test",
        clock=ManualClock(),
        load_catalog=load_catalog,
        registry=RegistryClient(transport=httpx.MockTransport(answer)),
    )

    unasked = await manager.details("ada/notes:q8")
    details = await manager.details("ada/notes:q8", ask_registry=True)
    with pytest.raises(ModelNotFoundError, match="neither installed nor in the catalog") as caught:
        await manager.details("ada/nothing:q8", ask_registry=True)

    await manager.close()
    assert unasked.basis is None
    assert details.basis == "registry"
    assert details.installed is None
    assert details.manifest is not None
    assert details.manifest.total_bytes == 4_000_000_010
    assert details.layers == ()
    assert re.search(
        r"Known from +its registry\n.*Download +4\.0 GB", details_text(details), re.DOTALL
    )
    assert "Check the spelling and the tag" in caught.value.next_step


def have(server: ModelServer, monkeypatch: pytest.MonkeyPatch, *samples: str) -> tuple[str, ...]:
    """Pull samples and make their server the default one; their names."""
    monkeypatch.setenv("OLLAMA_HOST", server.url)
    names = tuple(server.name(sample) for sample in samples)
    for name in names:
        modelwidgets.pull(name).result(30)
    return names
