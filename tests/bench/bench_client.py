"""What reading a pull costs: CPU an event in a flood, and a core's share at a real server's pace.

The CPU is that of this whole process, from the request to the last step in the caller's `async
for`; the server is another process. Beside it stands what httpx alone takes to read the same lines.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import aclosing, suppress
from typing import Any

import httpx

from modelwidgets.stores.ollama import OllamaClient
from tests.bench.figures import Figure, in_turns, run_alone
from tests.bench.processes import own_folder, server
from tests.bench.talking_server import LINES, chunking

LIMITS_MICROSECONDS = {200: 8.0, 1: 15.0}


def figures(*, quick: bool) -> Iterator[Figure]:
    with own_folder() as folder, server(folder, "tests.bench.talking_server") as said:
        url = said.strip()
        for size, limit in LIMITS_MICROSECONDS.items():
            yield flood(url, size, limit, times=3 if quick else 9)
        yield pace(url, seconds=2 if quick else 10)


def flood(url: str, size: int, limit: float, *, times: int) -> Figure:
    def cpu_of(read: Callable[[str, str], Coroutine[Any, Any, int]]) -> float:
        began = time.process_time()
        events = asyncio.run(read(url, f"flood:{size}"))
        assert events == LINES
        return (time.process_time() - began) / events * 1e6

    turns = list(in_turns(times, lambda: cpu_of(steps), lambda: cpu_of(httpx_lines)))
    ours, theirs = map(statistics.median, zip(*turns, strict=True))
    return Figure(
        what=f"reading a flood of {LINES:,} lines, {chunking(size)}, CPU an event",
        value=ours,
        bound=limit,
        unit="µs",
        against=f"httpx alone, unparsed, {theirs:.1f} µs",
    )


def pace(url: str, seconds: float) -> Figure:
    async def read() -> float:
        began = time.process_time()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await steps(url, "paced:client")
        return (time.process_time() - began) / seconds * 100

    return Figure(
        what="the client alone at a real server's pace",
        value=asyncio.run(read()),
        bound=1,
        unit="% of a core",
    )


async def steps(url: str, name: str) -> int:
    count = 0
    async with OllamaClient(url) as client, aclosing(client.pull(name)) as stream:
        async for _ in stream:
            count += 1
    return count


async def httpx_lines(url: str, name: str) -> int:
    count = 0
    body = {"model": name}
    async with (
        httpx.AsyncClient(trust_env=False) as client,
        client.stream("POST", f"{url}/api/pull", json=body) as response,
    ):
        async for line in response.aiter_lines():
            count += bool(line)
    return count


if __name__ == "__main__":
    run_alone(figures)
