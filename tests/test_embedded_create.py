"""Uploads to the embedded store, and the models that are made from them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from modelwidgets.stores.embedded import EmbeddedStore
from modelwidgets.stores.ollama_files import StoreFiles
from modelwidgets.stores.sample_weights import write_gguf
from tests.store_bed import (
    MIB,
    SMALL,
    blobs,
    client_of,
    create,
    digest_of,
    eventually,
    manifest_of,
    upload,
    weights,
)

DIGEST = digest_of(SMALL)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    async with EmbeddedStore(tmp_path / "models", port=0) as one:
        yield one


@pytest.fixture
async def client(store: EmbeddedStore) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(store.url) as one:
        yield one


# Uploads


async def test_upload_in_pieces_is_kept_under_its_digest(
    store: EmbeddedStore, client: httpx.AsyncClient
) -> None:
    """A file of any size passes through without being held in memory."""
    content = weights(3 * MIB)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 100_000):
            yield content[start : start + 100_000]

    answer = await client.post(f"/api/blobs/{digest_of(content)}", content=pieces())

    assert answer.status_code == 201
    assert StoreFiles(store.folder).blob_path(digest_of(content)).read_bytes() == content
    assert blobs(store) == {digest_of(content).replace(":", "-")}


async def test_upload_with_wrong_bytes_leaves_nothing(
    store: EmbeddedStore, client: httpx.AsyncClient
) -> None:
    """Neither under the announced digest nor under the true one."""
    answer = await client.post(f"/api/blobs/{DIGEST}", content=b"other")

    assert answer.status_code == 400
    assert answer.json()["error"] == (
        f'digest mismatch, expected "{DIGEST}", got "{digest_of(b"other")}"'
    )
    assert blobs(store) == set()


@pytest.mark.parametrize("digest", ["sha256:x", "x", "..%2f..%2fetc", "sha256:" + "0" * 63])
async def test_upload_to_no_digest_is_refused(
    store: EmbeddedStore, client: httpx.AsyncClient, digest: str
) -> None:
    """A path is not a place to write to."""
    answer = await client.post(f"/api/blobs/{digest}", content=b"x")

    assert answer.status_code == 400
    assert answer.json() == {"error": "invalid digest format"}
    assert blobs(store) == set()


async def test_upload_that_breaks_off_leaves_nothing(store: EmbeddedStore) -> None:
    """A client that goes away in the middle leaves no file."""
    host, port = store.url.removeprefix("http://").split(":")
    _reader, writer = await asyncio.open_connection(host, int(port))
    head = (
        f"POST /api/blobs/{DIGEST} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(SMALL)}\r\n"
    )
    writer.write(head.encode() + b"\r\n" + SMALL[:1000])
    await eventually(lambda: blobs(store))

    writer.close()
    await writer.wait_closed()

    await eventually(lambda: not blobs(store))


# Making models


async def test_made_model_lies_there_as_ollama_would_write_it(
    store: EmbeddedStore, client: httpx.AsyncClient
) -> None:
    """Layers, config and manifest, byte for byte."""
    lines = await create(
        client,
        "made",
        template="{{ .System }}{{ .Prompt }}",
        system="Be brief.",
        license=["One.", "Two."],
        parameters={"stop": ["<a>"], "num_ctx": 256, "temperature": 0.5},
        messages=[{"role": "user", "content": "hi"}],
    )

    manifest = json.loads(manifest_of(store, "made").read_text())
    files = StoreFiles(store.folder)
    contents = [files.blob_path(one["digest"]).read_bytes() for one in manifest["layers"]]
    config = files.blob_path(manifest["config"]["digest"]).read_bytes()
    kinds = [one["mediaType"].rpartition(".")[2] for one in manifest["layers"]]
    texts = ["template", "system", "license", "license", "params", "messages"]
    assert kinds == ["model", *texts]
    assert contents == [
        SMALL,
        b"{{ .System }}{{ .Prompt }}",
        b"Be brief.",
        b"One.",
        b"Two.",
        b'{"num_ctx":256,"stop":["\\u003ca\\u003e"],"temperature":0.5}\n',
        b'[{"role":"user","content":"hi"}]\n',
    ]
    assert config == (
        b'{"model_format":"gguf","model_family":"llama","model_families":["llama"],'
        b'"model_type":"16K","file_type":"F32","architecture":"amd64","os":"linux"}\n'
    )
    assert lines[-1] == {"status": "success"}
    assert manifest_of(store, "made").read_text().endswith("}\n")


async def test_model_from_another_takes_its_layers_over(
    store: EmbeddedStore, client: httpx.AsyncClient
) -> None:
    """What is said anew replaces, parameters are merged, the rest stays; no weights are copied."""
    await create(client, "base", system="Old.", parameters={"num_ctx": 9, "stop": ["x"]})

    lines = await create(
        client, "new", **{"from": "base"}, system="New.", parameters={"num_ctx": 8}
    )

    shown = (await client.post("/api/show", json={"model": "new"})).json()
    assert lines[0] == {"status": f"using existing layer {DIGEST}"}
    assert shown["system"] == "New."
    assert shown["parameters"].split("\n") == [f"{'num_ctx':<30} 8", f'{"stop":<30} "x"']
    assert shown["details"]["parent_model"] == "base:latest"


async def test_making_a_model_anew_removes_what_only_the_old_one_had(
    store: EmbeddedStore, client: httpx.AsyncClient
) -> None:
    """The weights stay, the old system prompt goes."""
    await create(client, "m", system="Old.")

    await create(client, "m", system="New.")

    files = StoreFiles(store.folder)
    assert not files.has_blob(digest_of(b"Old."))
    assert files.has_blob(digest_of(b"New."))
    assert files.has_blob(DIGEST)


async def test_adapters_and_projectors_are_known_by_their_headers(
    store: EmbeddedStore, client: httpx.AsyncClient
) -> None:
    """What a file is stands in it, not in its name."""
    projector = write_gguf({"general.architecture": "clip", "clip.has_vision_encoder": True})
    adapter = write_gguf({"general.architecture": "llama", "general.type": "adapter"})
    files = {name: await upload(client, one) for name, one in {"a": SMALL, "b": projector}.items()}
    adapters = {"c.gguf": await upload(client, adapter)}

    await create(client, "m", files=files, adapters=adapters)

    manifest = json.loads(manifest_of(store, "m").read_text())
    kinds = [one["mediaType"].rpartition(".")[2] for one in manifest["layers"]]
    assert kinds == ["model", "projector", "adapter"]
    listed = (await client.get("/api/tags")).json()["models"][0]
    assert listed["capabilities"] == ["completion", "vision"]


@pytest.mark.parametrize(
    ("asked", "status", "error"),
    [
        ({"model": "../x"}, 400, "invalid model name"),
        ({"model": "m"}, 400, "neither 'from' or 'files' was specified"),
        ({"model": "m", "files": {}}, 400, "unknown type"),
        ({"model": "m", "files": {"../m.gguf": DIGEST}}, 400, "file path must be relative"),
        ({"model": "m", "files": {"/m.gguf": DIGEST}}, 400, "file path must be relative"),
        ({"model": "m", "files": {"m.gguf": ""}}, 400, "invalid digest format"),
        ({"model": "m", "files": {"m.gguf": "sha256:../x"}}, 400, "invalid digest format"),
        ({"model": "m", "files": {"m.bin": DIGEST}}, 400, "unknown type"),
        ({"model": "m", "files": {"m.safetensors": DIGEST}}, 501, "to convert safetensors"),
        ({"model": "m", "from": "a/b/c/d"}, 400, "invalid model name"),
        ({"model": "m", "from": "x:cloud"}, 501, "to use a model of the cloud"),
        ({"model": "m", "files": 5}, 400, "CreateRequest.files of type map[string]string"),
        ({"model": "m", "files": {"a": 5}}, 400, "CreateRequest.files of type string"),
        ({"model": "m", "from": "x", "info": {"a": 1}}, 501, "to set the model's config"),
        ({"model": "m", "draft_files": {"a": DIGEST}}, 501, "to add a draft model"),
    ],
)
async def test_creation_that_cannot_be_is_refused_in_words(
    store: EmbeddedStore, client: httpx.AsyncClient, asked: dict[str, Any], status: int, error: str
) -> None:
    """Before anything is written, with a status of its own."""
    answer = await client.post("/api/create", json=asked)

    assert answer.status_code == status
    assert error in answer.json()["error"]
    assert blobs(store) == set()


@pytest.mark.parametrize(
    ("content", "more", "error"),
    [
        (SMALL[:-100], {}, 'tensor "token_embd.weight" offset+size'),
        (SMALL[:50], {}, "ends inside its GGUF header"),
        (b"GGUF" + b"\xff" * 100, {}, "no usable GGUF"),
        (b"not a model", {}, "supplied file was not in GGUF format"),
        (SMALL, {"template": "{{ if .x }}"}, "template error"),
        (SMALL, {"quantize": "q4_K_M"}, "to quantize models"),
        (
            write_gguf({"general.architecture": "x", "split.count": 2}),
            {},
            "to merge the split file",
        ),
    ],
)
async def test_file_that_cannot_be_taken_ends_the_creation(
    client: httpx.AsyncClient, content: bytes, more: dict[str, Any], error: str
) -> None:
    """With the reason as the last line, and no model."""
    files = {"m.gguf": await upload(client, content)}

    lines = await create(client, "m", files=files, **more)

    assert error in lines[-1]["error"]
    assert (await client.get("/api/tags")).json() == {"models": []}
