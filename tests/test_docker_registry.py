"""Pulling from a registry that nobody here wrote: Debian's `docker-registry`."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from modelwidgets.stores.embedded import EmbeddedStore
from modelwidgets.stores.registry import MANIFEST_TYPE
from tests.store_bed import MIB, QUICK, client_of, digest_of, outline, weights, whole_pull

MODEL = weights(12 * MIB)
LAYERS = {"model": MODEL, "template": b"{{ .Prompt }}", "license": b"Anything goes.\n" * 99}
CONFIG = json.dumps({"model_format": "gguf", "model_family": "llama"}).encode()
CONFIG_FILE = """
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}}}, redirect: {{disable: true}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


@pytest.fixture(scope="module")
def docker_registry(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The real program on a free port; gives its address."""
    program = shutil.which("docker-registry")
    assert program, "docker-registry is missing: `make system` installs it"
    folder = tmp_path_factory.mktemp("docker")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = folder / "config.yml"
    config.write_text(CONFIG_FILE.format(folder=folder / "data", port=port))
    with subprocess.Popen([program, "serve", str(config)], stderr=subprocess.DEVNULL) as process:
        try:
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()


@pytest.fixture
async def filled(docker_registry: str) -> str:
    """The registry with a model in it, put there through its own API; gives its address."""
    async with client_of(f"http://{docker_registry}") as client:
        await answering(client)
        entries = [
            await push(client, content, f"application/vnd.ollama.image.{kind}")
            for kind, content in LAYERS.items()
        ]
        config = await push(client, CONFIG, "application/vnd.docker.container.image.v1+json")
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": config}
        stored = await client.put(
            "/v2/library/debian/manifests/latest",
            content=json.dumps({**manifest, "layers": entries}),
            headers={"Content-Type": MANIFEST_TYPE},
        )
        assert stored.status_code == 201, stored.text
    return docker_registry


async def answering(client: httpx.AsyncClient) -> None:
    for _ in range(500):
        try:
            if (await client.get("/v2/")).status_code == 200:
                return
        except httpx.ConnectError:
            await asyncio.sleep(0.01)
    raise AssertionError("docker-registry does not answer")


async def push(client: httpx.AsyncClient, content: bytes, media_type: str) -> dict[str, Any]:
    digest = digest_of(content)
    begun = await client.post("/v2/library/debian/blobs/uploads/")
    where = httpx.URL(begun.headers["location"]).copy_merge_params({"digest": digest})
    stored = await client.put(where, content=content)
    assert stored.status_code == 201, stored.text
    return {"mediaType": media_type, "digest": digest, "size": len(content)}


@asynccontextmanager
async def redirecting(registry: str) -> AsyncIterator[str]:
    """A front that passes manifests through and sends for blobs elsewhere, as large ones do."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split(" ")[1]
        if "/blobs/" in path:
            there = registry.replace("127.0.0.1", "localhost")
            said = f"HTTP/1.1 307 Elsewhere\r\nLocation: http://{there}{path}\r\n"
            writer.write(f"{said}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
        else:
            async with client_of(f"http://{registry}") as client:
                got = await client.get(path, headers={"Accept": MANIFEST_TYPE})
            said = (
                f"HTTP/1.1 {got.status_code} From there\r\nContent-Length: {len(got.content)}\r\n"
            )
            writer.write(f"{said}Connection: close\r\n\r\n".encode() + got.content)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("front", [True, False])
async def test_model_of_a_real_registry_arrives_whole(
    filled: str, front: bool, tmp_path: Path
) -> None:
    """With blobs that are redirected and without, every layer is there with its digest."""
    async with AsyncExitStack() as stack:
        host = await stack.enter_async_context(redirecting(filled)) if front else filled
        store = EmbeddedStore(tmp_path / "models", port=0, limits=QUICK)
        await stack.enter_async_context(store)
        client = await stack.enter_async_context(client_of(store.url))
        name = f"{host}/library/debian"

        answer = await client.post("/api/pull", json={"model": name, "insecure": True})
        shown = (await client.post("/api/show", json={"model": name})).json()

    blobs = {path.name: path.read_bytes() for path in (tmp_path / "models/blobs").iterdir()}
    assert outline([json.loads(line) for line in answer.text.splitlines()]) == whole_pull()
    assert blobs == {
        digest_of(content).replace(":", "-"): content for content in [*LAYERS.values(), CONFIG]
    }
    assert shown["license"] == LAYERS["license"].decode()
