"""An embedded store and a sample registry in one loop, for tests that pull."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from modelwidgets.names import parse
from modelwidgets.stores.embedded import EmbeddedStore
from modelwidgets.stores.embedded_pull import PullLimits
from modelwidgets.stores.ollama_files import StoreFiles
from modelwidgets.stores.sample_registry import SampleRegistry
from modelwidgets.stores.sample_weights import TensorData, write_gguf
from modelwidgets.stores.transfer import Patience
from tests.isolation import environment

QUICK = PullLimits(
    patience=Patience(backoff_seconds=(0.01, 0.02, 0.04, 0.08, 0.16, 0.32), stall_seconds=1),
    locate_seconds=0.5,
)
"""Ollama's schedule, a hundred times as fast."""
MIB = 1 << 20


def weights(size_bytes: int, seed: str = "", *, file_type: int = 0) -> bytes:
    """A small model of noise whose one tensor makes it about that large."""
    count = size_bytes // 4 // 32 * 32
    noise = random.Random(f"{size_bytes} {seed}").randbytes(count * 4)  # noqa: S311 - noise
    metadata = {
        "general.architecture": "llama",
        "general.file_type": file_type,
        "llama.block_count": 1,
        "llama.context_length": 2048,
        "llama.embedding_length": 64,
    }
    tensor = TensorData(name="token_embd.weight", type="F32", shape=(32, count // 32), data=noise)
    return write_gguf(metadata, [tensor])


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass(slots=True, kw_only=True)
class Bed:
    """Both servers and a client that speaks to the store as it is."""

    registry: SampleRegistry
    store: EmbeddedStore
    client: httpx.AsyncClient

    @property
    def files(self) -> StoreFiles:
        return StoreFiles(self.store.folder)

    def add(self, name: str, **layers: bytes | Path) -> str:
        """Serve a model; gives its full name."""
        return self.registry.add_model(name, layers)

    @asynccontextmanager
    async def pulling(self, name: str, **more: Any) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        """The lines of a pull as they come; leaving the block closes the connection."""
        asked = {"model": name, "insecure": True, **more}
        async with (
            self.client.stream("POST", "/api/pull", json=asked) as response,
            aclosing(lines_of(response)) as lines,
            aclosing(_decoded(lines)) as decoded,
        ):
            yield decoded

    async def pull(self, name: str, **more: Any) -> list[dict[str, Any]]:
        """All lines of a pull."""
        async with self.pulling(name, **more) as lines:
            return [line async for line in lines]

    async def pull_broken_off(
        self, name: str, enough_bytes: int, then: Callable[[], Awaitable[None]]
    ) -> list[dict[str, Any]]:
        """The lines of a pull whose server ends at `then`, which is not how a pull ends."""
        seen = []
        with pytest.raises(httpx.RemoteProtocolError):  # noqa: PT012 - it comes with some line
            async with self.pulling(name) as lines:
                async for line in lines:
                    seen.append(line)
                    if line.get("completed", 0) > enough_bytes:
                        await then()
        return seen

    async def pull_until(self, name: str, enough_bytes: int) -> list[dict[str, Any]]:
        """The lines of a pull that is left as soon as a layer has so many bytes."""
        seen = []
        async with self.pulling(name) as lines:
            async for line in lines:
                seen.append(line)
                if line.get("completed", 0) >= enough_bytes:
                    break
        return seen

    def sides(self, digest: str) -> list[dict[str, int]]:
        """What the side files of an unfinished download say."""
        path = self.files.blob_path(digest)
        found = sorted(path.parent.glob(f"{path.name}-partial-*"))
        return [json.loads(one.read_text()) for one in found]

    def starts(self, digest: str) -> list[int]:
        """Where each range of a blob began that the registry was asked for."""
        asked = [
            request.range or "=0-" for request in self.registry.log if request.digest == digest
        ]
        return [int(one.partition("=")[2].partition("-")[0]) for one in asked]

    def stored(self, digest: str) -> bytes:
        return self.files.blob_path(digest).read_bytes()

    def partial(self, digest: str) -> bytes:
        path = self.files.blob_path(digest)
        return path.with_name(f"{path.name}-partial").read_bytes()

    def blob_names(self) -> set[str]:
        return {path.name for path in (self.store.folder / "blobs").iterdir()}

    async def names(self) -> list[str]:
        rows = (await self.client.get("/api/tags")).json()["models"]
        return sorted(row["name"] for row in rows)


@asynccontextmanager
async def bed(
    folder: Path, *, limits: PullLimits = QUICK, store_folder: Path | None = None
) -> AsyncIterator[Bed]:
    """Run both servers inside `folder`."""
    async with (
        SampleRegistry(folder / "registry") as registry,
        EmbeddedStore(store_folder or folder / "models", port=0, limits=limits) as store,
        client_of(store.url) as client,
    ):
        yield Bed(registry=registry, store=store, client=client)


def lines_of(response: httpx.Response) -> AsyncGenerator[str, None]:
    """The lines as they come, to be closed by whoever stops in the middle."""
    return cast("AsyncGenerator[str, None]", response.aiter_lines())


async def _decoded(lines: AsyncIterator[str]) -> AsyncGenerator[dict[str, Any], None]:
    async for line in lines:
        yield json.loads(line)


def client_of(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, trust_env=False, timeout=20, verify=False)  # noqa: S501 - plain http


async def eventually(look: Callable[[], Any], within_seconds: float = 5) -> float:
    """Wait until something is so; how long it took."""
    begun = time.monotonic()
    while not look():
        if time.monotonic() - begun > within_seconds:
            raise AssertionError("it never came to be so")
        await asyncio.sleep(0.005)
    return time.monotonic() - begun


def start_process(folder: Path, home: Path) -> tuple[subprocess.Popen[str], str]:
    """An embedded store as a process of its own."""
    code = (
        "import asyncio, pathlib, sys\n"
        "from modelwidgets.stores.embedded import EmbeddedStore\n"
        "async def main():\n"
        "    store = EmbeddedStore(pathlib.Path(sys.argv[1]), port=0)\n"
        "    await store.start()\n"
        "    print(store.url, flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(home),
    )
    assert process.stdout
    return process, process.stdout.readline().strip()


def outline(lines: list[dict[str, Any]]) -> list[str]:
    """The lines of a pull but for the progress within its layers."""
    return [line.get("error") or line["status"] for line in lines if "digest" not in line]


def whole_pull(*, removed: bool = False) -> list[str]:
    """The outline of a pull that went well."""
    end = ["removing unused layers", "success"] if removed else ["success"]
    return ["pulling manifest", "verifying sha256 digest", "writing manifest", *end]


SMALL = weights(64_000)


async def upload(client: httpx.AsyncClient, content: bytes) -> str:
    digest = digest_of(content)
    answer = await client.post(f"/api/blobs/{digest}", content=content)
    assert answer.status_code in (200, 201), answer.text
    return digest


async def create(client: httpx.AsyncClient, name: str, **more: Any) -> list[dict[str, Any]]:
    """The lines of making a model, from the uploaded weights unless told otherwise."""
    if "from" not in more and "files" not in more:
        more["files"] = {"model.gguf": await upload(client, SMALL)}
    answer = await client.post("/api/create", json={"model": name, **more})
    return [json.loads(line) for line in answer.text.splitlines()]


def blobs(store: EmbeddedStore) -> set[str]:
    return {path.name for path in (store.folder / "blobs").iterdir()}


def manifest_of(store: EmbeddedStore, name: str) -> Path:
    return StoreFiles(store.folder).manifest_path(parse(name))
