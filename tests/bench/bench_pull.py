"""What a pull costs through the whole manager: beside curl, in messages to the page, in memory."""

from __future__ import annotations

import asyncio
import json
import shutil
import statistics
import sys
import time
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import httpx

from modelwidgets.manager import Manager
from modelwidgets.slices import Message
from modelwidgets.stores.ollama import OllamaClient
from modelwidgets.stores.registry import RegistryClient
from tests.bench.bench_client import LIMITS_MICROSECONDS
from tests.bench.figures import Figure, run_alone
from tests.bench.processes import own_folder, server
from tests.bench.talking_server import LINES, LINES_A_SECOND, SPREAD_SECONDS, chunking

FLUSHED_SECONDS = 0.2
"""After so long all that changed has been told."""
SAMPLE = "samples/chat:tiny"
SERVE = ("modelwidgets", "serve", "--json", "--while-stdin", "--port", "0", "--samples", "always")


class Sent(NamedTuple):
    """A message to the page."""

    at: float
    op: str
    size: int


def figures(*, quick: bool) -> Iterator[Figure]:
    with own_folder() as folder:
        if shutil.which("curl") is None:
            print("There is no curl here to compare with.", file=sys.stderr)
        else:
            yield asyncio.run(beside_curl(folder, times=3 if quick else 15))
        with server(folder, "tests.bench.talking_server") as said:
            url = said.strip()
            for size, limit in LIMITS_MICROSECONDS.items():
                yield asyncio.run(events(url, size, limit, times=3 if quick else 9))
            yield from asyncio.run(messages(url))
            yield asyncio.run(memory(url))
            yield asyncio.run(pace(url, seconds=3 if quick else 15))


async def beside_curl(folder: Path, *, times: int) -> Figure:
    """Preflight, bytes and proof against a reader that does nothing but read the same stream."""
    with server(folder, *SERVE) as said:
        store = json.loads(said)
        url, name = store["url"], f"{store['sample_registry']}/{SAMPLE}"
        async with watched(url) as (manager, _):
            turns = []
            for number in range(times + 1):
                theirs = await curl_seconds(url, name)
                await manager.delete(name)
                began = time.perf_counter()
                progress = await manager.pulls.wait(manager.pull(name))
                ours = time.perf_counter() - began
                assert progress.plan
                assert progress.plan.to_fetch_bytes
                await manager.delete(name)
                if number:
                    turns.append((theirs * 1e3, ours * 1e3))
    curl = statistics.median(theirs for theirs, _ in turns)
    return Figure(
        what=f"pull() of {progress.completed_bytes / 1e6:.0f} MB, wall beyond curl -N",
        value=statistics.median(ours - theirs for theirs, ours in turns),
        bound=100 + curl / 100,
        unit="ms",
        against=f"curl -N {curl:.0f} ms",
    )


async def curl_seconds(url: str, name: str) -> float:
    body = json.dumps({"model": name, "insecure": True})
    began = time.perf_counter()
    curl = await asyncio.create_subprocess_exec(
        *["curl", "-sN", "--noproxy", "*", f"{url}/api/pull", "-d", body],
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await curl.communicate()
    assert b'"success"' in said
    return time.perf_counter() - began


async def events(url: str, size: int, limit: float, *, times: int) -> Figure:
    """All that this process does for a line, short of sending to a page."""
    async with watched(url, offline()) as (manager, _):
        spent = []
        for _ in range(times + 1):
            began = time.process_time()
            await manager.pulls.wait(manager.pull(f"flood:{size}"))
            spent.append((time.process_time() - began) / LINES * 1e6)
            await manager.refresh()
    return Figure(
        what=f"the whole manager in a flood, {chunking(size)}, CPU an event",
        value=statistics.median(spent[1:]),
        bound=limit,
        unit="µs",
    )


TWO_FLOODS = f"two floods of {LINES:,} lines in {SPREAD_SECONDS} s"


async def messages(url: str) -> list[Figure]:
    async with watched(url, offline()) as (manager, page):
        pulls = [manager.pull(name) for name in ("spread:one", "spread:other")]
        for pull in pulls:
            await manager.pulls.wait(pull)
        await asyncio.sleep(FLUSHED_SECONDS)
        told = list(page)
    return [
        Figure(
            what=f"{TWO_FLOODS}, messages to the page",
            value=(len(told) - 1) / (told[-1].at - told[0].at),
            bound=10,
            unit="a second",
        ),
        Figure(
            what=f"{TWO_FLOODS}, the largest of them",
            value=max(sent.size for sent in told),
            bound=1000,
            unit="bytes",
        ),
    ]


async def memory(url: str) -> Figure:
    third = SPREAD_SECONDS / 3
    async with watched(url, offline()) as (manager, _):
        tracemalloc.start()
        pulls = [manager.pull(name) for name in ("spread:one", "spread:other")]
        await asyncio.sleep(third)
        early = await peak_bytes(third)
        late = await peak_bytes(third * 0.9)
        tracemalloc.stop()
        for pull in pulls:
            await manager.pulls.wait(pull)
    return Figure(
        what=f"{TWO_FLOODS}, memory that the last second takes more",
        value=max(0, late - early) / 1e3,
        bound=100,
        unit="kB",
        against=f"peak {early / 1e6:.1f} MB",
    )


async def peak_bytes(seconds: float) -> int:
    tracemalloc.reset_peak()
    await asyncio.sleep(seconds)
    return tracemalloc.get_traced_memory()[1]


async def pace(url: str, seconds: float) -> Figure:
    async with watched(url, offline()) as (manager, page):
        pull = manager.pull("paced:manager")
        await asyncio.sleep(0.5)
        seen = len(page)
        began = time.process_time()
        await asyncio.sleep(seconds)
        cpu = time.process_time() - began
        assert len(page) - seen > seconds * 5
        manager.pulls.stop(pull.id)
    return Figure(
        what=f"the whole manager at a real server's pace of {LINES_A_SECOND} lines a second",
        value=cpu / seconds * 100,
        bound=1,
        unit="% of a core",
    )


@asynccontextmanager
async def watched(
    url: str, registry: RegistryClient | None = None
) -> AsyncIterator[tuple[Manager, list[Sent]]]:
    """A manager with a page, and what that is told of pulls."""
    page: list[Sent] = []

    def take(message: Message) -> None:
        if message["name"] == "pulls":
            page.append(Sent(time.perf_counter(), message["op"], len(json.dumps(message))))

    manager = Manager(OllamaClient(url), viewer="bench", registry=registry)
    await asyncio.gather(manager.catalog(), manager.refresh())
    await asyncio.sleep(FLUSHED_SECONDS)
    manager.slices.subscribe(take)
    try:
        yield manager, page
    finally:
        await manager.close()


def offline() -> RegistryClient:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no network", request=request)

    return RegistryClient(transport=httpx.MockTransport(refuse))


if __name__ == "__main__":
    run_alone(figures)
