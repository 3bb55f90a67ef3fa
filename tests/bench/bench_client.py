"""What reading a pull costs: CPU an event in a flood, and the wall time beside `curl -N`.

    python -m tests.bench.bench_client

The flood is 20,000 lines from a server in another process, in chunks of 200 lines and of one. The
CPU is that of this whole process, from the request to the last step in the caller's `async for`.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from typing import Any

from modelwidgets.stores.ollama import OllamaClient

LINES = 20_000
RUNS = 3
LIMITS_MICROSECONDS = {200: 8.0, 1: 15.0}
LINES_A_SECOND = 16.6
PACED_SECONDS = 2
DIGEST = "sha256:" + "8b06b3c3e719" * 5 + "8b06"


def flood(lines_a_chunk: int) -> bytes:
    """The body of a pull that reports as often as it can, chunk framing included."""
    lines = [
        json.dumps(
            {
                "status": f"pulling {DIGEST[7:19]}",
                "digest": DIGEST,
                "total": LINES * 100_003,
                "completed": number * 100_003,
            },
            separators=(",", ":"),
        ).encode()
        + b"\n"
        for number in range(1, LINES)
    ]
    lines.append(b'{"status":"success"}\n')
    groups = [lines[at : at + lines_a_chunk] for at in range(0, LINES, lines_a_chunk)]
    return b"".join(map(chunk, groups)) + b"0\r\n\r\n"


def chunk(lines: list[bytes]) -> bytes:
    data = b"".join(lines)
    return b"%x\r\n%s\r\n" % (len(data), data)


async def serve() -> None:
    """Answer a pull of the model `200`, `1` or `paced` until standard input ends."""
    floods = {f'"{size}:latest"'.encode(): flood(size) for size in LIMITS_MICROSECONDS}

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        asked = await reader.readexactly(int(length))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n")
        writer.write(b"Transfer-Encoding: chunked\r\n\r\n")
        for name, body in floods.items():
            if name in asked:
                for at in range(0, len(body), 64 << 10):
                    writer.write(body[at : at + (64 << 10)])
                    await writer.drain()
                break
        else:
            for number in range(int(LINES_A_SECOND * PACED_SECONDS)):
                line = b'{"status":"pulling x","total":999,"completed":%d}\n' % number
                writer.write(chunk([line]))
                await writer.drain()
                await asyncio.sleep(1 / LINES_A_SECOND)
            writer.write(chunk([b'{"status":"success"}\n']) + b"0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


async def pull(url: str, name: str) -> int:
    steps = 0
    async with OllamaClient(url, timeout=30) as client, aclosing(client.pull(name)) as stream:
        async for _ in stream:
            steps += 1
    return steps


async def bare(url: str, name: str) -> int:
    """The same bytes over httpx's own transport, counted and thrown away: what that costs."""
    import httpx

    lines = 0
    async with httpx.AsyncClient(trust_env=False) as client:
        request = client.stream("POST", f"{url}/api/pull", json={"model": f"{name}:latest"})
        async with request as response:
            async for line in response.aiter_lines():
                lines += bool(line)
    return lines


def measured(read: Callable[[], Coroutine[Any, Any, int]]) -> tuple[float, float, int]:
    """CPU and wall seconds of one run, and the events that it saw."""
    cpu, wall = time.process_time(), time.perf_counter()
    events = asyncio.run(read())
    return time.process_time() - cpu, time.perf_counter() - wall, events


def curl(url: str, name: str) -> float:
    started = time.perf_counter()
    command = ["curl", "-sN", "--noproxy", "*", f"{url}/api/pull", "-d"]
    subprocess.run(
        [*command, json.dumps({"model": f"{name}:latest"})], stdout=subprocess.DEVNULL, check=True
    )
    return time.perf_counter() - started


def main() -> None:
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.bench_client", "--serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdin
    assert server.stdout
    try:
        url = f"http://127.0.0.1:{int(server.stdout.readline())}"
        asyncio.run(pull(url, "200"))  # loads what is loaded once
        for size, limit in LIMITS_MICROSECONDS.items():
            ours, theirs, walls, curls = [], [], [], []
            for _ in range(RUNS):
                cpu, wall, events = measured(lambda name=str(size): pull(url, name))
                assert events == LINES
                ours.append(cpu / events * 1e6)
                walls.append(wall)
                cpu, _, events = measured(lambda name=str(size): bare(url, name))
                assert events == LINES
                theirs.append(cpu / events * 1e6)
                if shutil.which("curl"):
                    curls.append(curl(url, str(size)))
            print(
                f"{size:3} lines a chunk: {statistics.median(ours):5.2f} us CPU an event "
                f"(limit {limit:g}; httpx's aiter_lines alone {statistics.median(theirs):.2f})"
            )
            beside = f"{statistics.median(curls):.3f} s" if curls else "not here"
            print(f"{'':19}{statistics.median(walls):5.3f} s in all, curl -N {beside}")
        cpu, wall, events = measured(lambda: pull(url, "paced"))
        print(
            f"at a real server's pace ({(events - 1) / wall:.1f} lines/s): "
            f"{cpu / wall:.2%} of a core"
        )
    finally:
        server.stdin.close()
        server.wait(10)
        server.stdout.close()


if __name__ == "__main__":
    if "--serve" in sys.argv:
        asyncio.run(serve())
    else:
        main()
