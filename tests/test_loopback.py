"""HTTP/1.1 to this machine: the framing of bodies, and what is written."""

from __future__ import annotations

import asyncio

import httpx
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwidgets.stores.loopback import Chunks, LoopbackTransport
from tests.recordings import Server, listening


async def test_each_request_has_a_connection_of_its_own() -> None:
    """A request says that its connection ends with it, whatever its client would say."""

    async def script(
        server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok, and more")
        await reader.read()

    async with (
        listening(script) as server,
        httpx.AsyncClient(transport=LoopbackTransport(), trust_env=False) as client,
    ):
        answers = [
            await client.post(f"{server.url}/a%20b?c=d", content=b"body"),
            await client.get(server.url),
        ]

    assert [answer.text for answer in answers] == ["ok", "ok"]
    first, second = server.requests
    assert first.startswith(b"POST /a%20b?c=d HTTP/1.1\r\nHost: 127.0.0.1:")
    assert first.endswith(b"\r\nConnection: close\r\n\r\nbody")
    assert second.endswith(b"\r\nConnection: close\r\n\r\n")
    assert b"keep-alive" not in first + second


@settings(deadline=None)
@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=8),
    st.lists(st.integers(min_value=1, max_value=60), min_size=1),
    st.sampled_from([b"", b";name=value", b" \t"]),
)
def test_chunks_are_unwrapped_however_they_arrive(
    payloads: list[bytes], cuts: list[int], extension: bytes
) -> None:
    """The payload is the same, whether a chunk comes in one piece, in many, or with others."""
    frames = [b"%X%s\r\n%s\r\n" % (len(data), extension, data) for data in payloads]
    wire = b"".join(frames) + b"0\r\n\r\n"
    chunks = Chunks()

    read, at = b"", 0
    while at < len(wire) and not chunks.ended:
        cut = cuts.pop(0) if cuts else len(wire)
        read += chunks.unwrap(wire[at : at + cut])
        at += cut

    assert read == b"".join(payloads)
    assert chunks.ended
