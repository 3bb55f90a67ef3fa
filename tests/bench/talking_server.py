"""An Ollama server that only talks: each pull is so many lines, and no bytes are fetched.

    python -m tests.bench.talking_server

It prints its address and ends with its standard input. What a pull says depends on the name:
`flood:200` and `flood:1` 20,000 lines at once, in chunks of so many; `spread:*` as many over three
seconds; `paced:*` a real server's 16.6 lines a second.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

LINES = 20_000
LINES_A_SECOND = 16.6
SPREAD_SECONDS = 3
PACED_SECONDS = 60
DIGEST = "sha256:" + "8b06b3c3e719" * 5 + "8b06"


def chunking(lines_a_chunk: int) -> str:
    return f"{lines_a_chunk} lines a chunk" if lines_a_chunk > 1 else "a chunk a line"


def lines(count: int) -> list[bytes]:
    """The lines of a pull that reports as often as it can, `success` last."""
    words = {"status": f"pulling {DIGEST[7:19]}", "digest": DIGEST, "total": count * 100_003}
    said = [words | {"completed": number * 100_003} for number in range(1, count)]
    return [json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in said] + [
        b'{"status":"success"}\n'
    ]


def chunks(lines: list[bytes], lines_a_chunk: int) -> list[bytes]:
    """The lines as HTTP sends them, without the last, empty chunk."""
    starts = range(0, len(lines), lines_a_chunk)
    bodies = [b"".join(lines[start : start + lines_a_chunk]) for start in starts]
    return [b"%x\r\n%s\r\n" % (len(body), body) for body in bodies]


class Talk:
    """What is said to whom."""

    def __init__(self) -> None:
        many = lines(LINES)
        self._floods = {size: b"".join(chunks(many, size)) for size in (1, 200)}
        self._spread = chunks(many, 200)
        self._paced = chunks(lines(round(PACED_SECONDS * LINES_A_SECOND)), 1)
        self._pulled: dict[str, None] = {}

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request on a connection of its own."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            asked = await reader.readexactly(int(length or b"0"))
            path = head.split(b" ")[1].decode()
            if path == "/api/pull":
                await self._pull(json.loads(asked)["model"], writer)
            else:
                self._tell(path, writer)
            await writer.drain()
        except (ConnectionError, EOFError, asyncio.CancelledError):
            pass  # a pull that was stopped, or the end of the bench
        finally:
            writer.close()

    def _tell(self, path: str, writer: asyncio.StreamWriter) -> None:
        said: dict[str, Any] = {
            "/api/version": {"version": "0.33.0"},
            "/api/tags": {"models": [self._model(name) for name in self._pulled]},
            "/api/ps": {"models": []},
        }
        body = json.dumps(said[path]).encode() if path in said else b"Ollama is running"
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    def _model(self, name: str) -> dict[str, Any]:
        return {"name": name, "digest": DIGEST[7:], "size": LINES * 100_003}

    async def _pull(self, name: str, writer: asyncio.StreamWriter) -> None:
        self._pulled[name] = None
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n")
        writer.write(b"Transfer-Encoding: chunked\r\n\r\n")
        async for data in self._said(name):
            writer.write(data)
            await writer.drain()
        writer.write(b"0\r\n\r\n")

    async def _said(self, name: str) -> AsyncIterator[bytes]:
        kind, _, rest = name.partition(":")
        if kind == "flood":
            body = self._floods[int(rest)]
            for start in range(0, len(body), 64 << 10):
                yield body[start : start + (64 << 10)]
            return
        said = self._paced if kind == "paced" else self._spread
        seconds = PACED_SECONDS if kind == "paced" else SPREAD_SECONDS
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number, chunk in enumerate(said):
            await asyncio.sleep(began + number * seconds / len(said) - loop.time())
            yield chunk


async def main() -> None:
    listener = await asyncio.start_server(Talk().answer, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}", flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
