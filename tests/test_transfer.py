"""The download of one file: ranges, checks, resumption, ways through proxies and encryption."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from modelwidgets.errors import DigestMismatchError, TransferError, TransferStoppedError
from modelwidgets.stores import fetch
from modelwidgets.stores.fetch import Source
from modelwidgets.stores.partial import Part, Partial
from modelwidgets.stores.prefix import Turns
from modelwidgets.stores.transfer import Patience, Transfer
from tests.store_bed import MIB, digest_of, eventually

CONTENT = bytes(range(256)) * (16 << 10)
SHA256 = digest_of(CONTENT).removeprefix("sha256:")
QUICK = Patience(backoff_seconds=(0.01, 0.02), stall_seconds=0.3)
CERTIFICATE = Path(__file__).parent / "data" / "localhost.pem"
"""For `localhost` alone, with its key, and trusted by nobody."""

Answer = Callable[[str, dict[str, str], asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def storage(answer: Answer, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server whose every answer `answer` writes; gives its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines if line)
            await answer(first, headers, writer)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client went away, or the test ended
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def ranged(first: str, headers: dict[str, str], writer: asyncio.StreamWriter) -> None:
    """What a good storage answers."""
    start, end = (int(part) for part in headers["range"].removeprefix("bytes=").split("-"))
    said = f"HTTP/1.1 206 x\r\nContent-Range: bytes {start}-{end}/{len(CONTENT)}\r\n"
    writer.write(f"{said}Content-Length: {end + 1 - start}\r\n\r\n".encode())
    writer.write(CONTENT[start : end + 1])


def transfer(target: Path, url: str, patience: Patience = QUICK, **headers: str) -> Transfer:
    source = Source(url=url, headers=headers)
    return Transfer(target, source, size_bytes=len(CONTENT), sha256=SHA256, patience=patience)


async def fetched(target: Path, url: str, **headers: str) -> bytes:
    """The file after a transfer that went well."""
    one = transfer(target, url, **headers)
    one.start()
    await asyncio.wrap_future(one.checked)
    return left_in(target.parent)[target.name]


def left_in(folder: Path) -> dict[str, bytes]:
    """Every file of the download and its content."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


async def test_file_arrives_under_its_name(tmp_path: Path) -> None:
    """Nothing else is left beside it, and every byte was counted."""
    async with storage(ranged) as port:
        one = transfer(tmp_path / "file", f"http://127.0.0.1:{port}/file")
        one.start()
        await asyncio.wrap_future(one.fetched)
        await asyncio.wrap_future(one.checked)

    assert left_in(tmp_path) == {"file": CONTENT}
    assert one.completed_bytes == len(CONTENT)


async def test_it_goes_on_where_side_files_say(tmp_path: Path) -> None:
    """Two ranges that another program left half done are asked for from their middles."""
    asked = []

    async def answer(first: str, headers: dict[str, str], writer: asyncio.StreamWriter) -> None:
        asked.append(headers["range"])
        await ranged(first, headers, writer)

    half = len(CONTENT) // 2
    (tmp_path / "file-partial").write_bytes(CONTENT[:MIB] + bytes(half - MIB) + CONTENT[half:])
    for n, completed in ((0, MIB), (1, 2 * MIB)):
        said = {"N": n, "Offset": n * half, "Size": half, "Completed": min(completed, half)}
        (tmp_path / f"file-partial-{n}").write_text(json.dumps(said))
    async with storage(answer) as port:
        content = await fetched(tmp_path / "file", f"http://127.0.0.1:{port}/file")

    assert asked == [f"bytes={MIB}-{half - 1}"], "the second range was complete"
    assert content == CONTENT


async def test_kept_bytes_that_are_wrong_are_found(tmp_path: Path) -> None:
    """What was there before is hashed as well, and a damaged start costs the whole."""
    (tmp_path / "file-partial").write_bytes(b"wrong" + bytes(len(CONTENT) - 5))
    said = {"N": 0, "Offset": 0, "Size": len(CONTENT), "Completed": MIB}
    (tmp_path / "file-partial-0").write_text(json.dumps(said))

    async with storage(ranged) as port:
        one = transfer(tmp_path / "file", f"http://127.0.0.1:{port}/file")
        one.start()
        with pytest.raises(DigestMismatchError, match=SHA256):
            await asyncio.wrap_future(one.checked)
        again = await fetched(tmp_path / "file", f"http://127.0.0.1:{port}/file")

    assert again == CONTENT


async def test_cancel_frees_a_thread_that_waits_for_bytes(tmp_path: Path) -> None:
    """A silent connection is cut at once, not after its time limit."""

    async def silent(first: str, headers: dict[str, str], writer: asyncio.StreamWriter) -> None:
        said = f"HTTP/1.1 206 x\r\nContent-Range: bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}\r\n"
        writer.write(f"{said}Content-Length: {len(CONTENT)}\r\n\r\n".encode())
        writer.write(CONTENT[:MIB])
        await writer.drain()
        await asyncio.sleep(30)

    async with storage(silent) as port:
        one = transfer(tmp_path / "file", f"http://127.0.0.1:{port}/file", Patience())
        one.start()
        await eventually(lambda: one.completed_bytes == MIB)

        begun = time.monotonic()
        one.cancel()
        with pytest.raises(TransferStoppedError):
            await asyncio.wrap_future(one.checked)
        seconds = time.monotonic() - begun

    assert seconds < 0.3
    assert Partial(tmp_path / "file").kept_bytes() == MIB
    await eventually(
        lambda: all(thread.name != "modelwidgets transfer" for thread in threading.enumerate())
    )


async def test_cancel_before_anything_answered(tmp_path: Path) -> None:
    """A transfer whose server never says a word ends as fast."""

    async def mute(*_: object) -> None:
        await asyncio.sleep(30)

    async with storage(mute) as port:
        one = transfer(tmp_path / "file", f"http://127.0.0.1:{port}/file", Patience())
        one.start()
        await asyncio.sleep(0.05)
        begun = time.monotonic()
        one.cancel()
        with pytest.raises(TransferStoppedError):
            await asyncio.wrap_future(one.fetched)

    assert time.monotonic() - begun < 0.3


async def test_cancel_after_the_end_changes_nothing(tmp_path: Path) -> None:
    """The file stays where it is."""
    async with storage(ranged) as port:
        one = transfer(tmp_path / "file", f"http://127.0.0.1:{port}/file")
        one.start()
        await asyncio.wrap_future(one.checked)

        one.cancel()

    assert (tmp_path / "file").read_bytes() == CONTENT


@pytest.mark.parametrize(
    "head",
    [
        "HTTP/1.1 206 x\r\nContent-Range: bytes 1-9/4194304\r\nContent-Length: 9\r\n",
        "HTTP/1.1 206 x\r\nContent-Range: bytes 0-4194303/9999999\r\nContent-Length: 4194304\r\n",
        "HTTP/1.1 206 x\r\nContent-Range: bytes 0-4194303/4194304\r\nContent-Length: 10\r\n",
        "HTTP/1.1 206 x\r\nContent-Length: 4194304\r\n",
        "HTTP/1.1 200 x\r\nContent-Length: 5\r\n",
        "HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n",
        "HTTP/1.1 200 x\r\n",
        "HTTP/1.1 416 x\r\nContent-Range: bytes */5\r\nContent-Length: 0\r\n",
    ],
)
async def test_answer_about_another_file_is_refused_at_once(tmp_path: Path, head: str) -> None:
    """A wrong size or range is no trouble of the network, so it is not tried again."""
    asked = []

    async def answer(first: str, headers: dict[str, str], writer: asyncio.StreamWriter) -> None:
        asked.append(first)
        writer.write(f"{head}\r\n".encode())

    async with storage(answer) as port:
        one = transfer(tmp_path / "file", f"http://127.0.0.1:{port}/file")
        one.start()
        with pytest.raises(TransferError, match="another size"):
            await asyncio.wrap_future(one.checked)

    assert len(asked) == 1


async def test_secrets_stay_with_the_host_they_were_given_for(tmp_path: Path) -> None:
    """A redirect to another host is followed without the login."""
    seen = []

    async def there(first: str, headers: dict[str, str], writer: asyncio.StreamWriter) -> None:
        seen.append(headers.get("authorization"))
        await ranged(first, headers, writer)

    async with storage(there) as port:

        async def here(first: str, headers: dict[str, str], writer: asyncio.StreamWriter) -> None:
            seen.append(headers.get("authorization"))
            location = f"http://127.0.0.1:{port}/file"
            writer.write(
                f"HTTP/1.1 307 x\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()
            )

        async with storage(here) as first:
            url = f"http://127.0.0.1:{first}/file"
            content = await fetched(tmp_path / "file", url, Authorization="Bearer secret")

    assert seen == ["bearer secret", None]
    assert content == CONTENT


async def test_redirects_in_a_circle_end(tmp_path: Path) -> None:
    """They are followed a few times and no more."""

    async def round_again(
        first: str, headers: dict[str, str], writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"HTTP/1.1 302 x\r\nLocation: /file\r\nContent-Length: 0\r\n\r\n")

    async with storage(round_again) as port:
        one = transfer(tmp_path / "file", f"http://127.0.0.1:{port}/file")
        one.start()
        with pytest.raises(TransferError, match="redirects more than 5 times"):
            await asyncio.wrap_future(one.checked)


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """Makes this process trust the certificate, and gives what a server needs to show it."""
    fetch.trust.cache_clear()
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


async def test_encrypted_storage_is_read_as_fast_as_it_comes(
    tmp_path: Path, trusted: ssl.SSLContext
) -> None:
    """Records that come in halves leave no byte out."""

    async def halting(first: str, headers: dict[str, str], writer: asyncio.StreamWriter) -> None:
        said = f"HTTP/1.1 206 x\r\nContent-Range: bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}\r\n"
        writer.write(f"{said}Content-Length: {len(CONTENT)}\r\n\r\n".encode())
        for start in range(0, len(CONTENT), 300_001):
            writer.write(CONTENT[start : start + 300_001])
            await writer.drain()
            await asyncio.sleep(0.005)

    async with storage(halting, tls=trusted) as port:
        content = await fetched(tmp_path / "file", f"https://localhost:{port}/file")
    fetch.trust.cache_clear()

    assert content == CONTENT


async def test_certificate_that_nobody_trusts_ends_the_download(tmp_path: Path) -> None:
    """The storage must prove who it is."""
    fetch.trust.cache_clear()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)

    async with storage(ranged, tls=context) as port:
        one = transfer(tmp_path / "file", f"https://localhost:{port}/file")
        one.start()
        with pytest.raises(TransferError, match="certificate verify failed"):
            await asyncio.wrap_future(one.checked)


async def test_encryption_is_not_given_up_on_the_way(
    tmp_path: Path, trusted: ssl.SSLContext
) -> None:
    """A redirect from https to http is not followed."""

    async def lower(first: str, headers: dict[str, str], writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 302 x\r\nLocation: http://x.example/f\r\nContent-Length: 0\r\n\r\n")

    async with storage(lower, tls=trusted) as port:
        one = transfer(tmp_path / "file", f"https://localhost:{port}/file")
        one.start()
        with pytest.raises(TransferError, match="not encrypted"):
            await asyncio.wrap_future(one.checked)
    fetch.trust.cache_clear()


async def test_stranger_may_not_send_us_to_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A redirect from another host to loopback is not followed."""

    async def inward(first: str, headers: dict[str, str], writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 302 x\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n")

    async with storage(inward) as port:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
        one = transfer(tmp_path / "file", "http://storage.example/file")
        one.start()
        with pytest.raises(TransferError, match="this machine"):
            await asyncio.wrap_future(one.checked)


async def test_proxy_of_the_environment_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain requests go through it whole; this machine is never asked through it."""
    asked = []

    async def proxy(first: str, headers: dict[str, str], writer: asyncio.StreamWriter) -> None:
        asked.append(first)
        await ranged(first, headers, writer)

    async with storage(proxy) as port, storage(ranged) as near:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
        far = await fetched(tmp_path / "far", "http://storage.example:81/a?b=c")
        local = await fetched(tmp_path / "near", f"http://localhost:{near}/file")

    assert asked == ["GET http://storage.example:81/a?b=c HTTP/1.1"]
    assert far == local == CONTENT


async def test_encrypted_storage_is_reached_through_a_tunnel(
    tmp_path: Path, trusted: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy is asked to connect, with its login, and sees no more."""
    asked = []

    async def tunnel(first: str, headers: dict[str, str], writer: asyncio.StreamWriter) -> None:
        asked.append((first, headers.get("proxy-authorization")))
        writer.write(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")

    async with storage(tunnel) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:let%20me@127.0.0.1:{port}")
        one = transfer(tmp_path / "file", "https://storage.example/file")
        one.start()
        with pytest.raises(TransferError, match="403"):
            await asyncio.wrap_future(one.checked)

    first, login = asked[0]
    assert first.startswith("CONNECT storage.example:443 ")
    assert login == "basic bwu6bgv0ig1l"


def test_earliest_part_may_write_first() -> None:
    """Whoever waits with the earliest part is next, so that hashing can follow."""
    turns = Turns()
    order = []
    threads = []

    def write(n: int) -> None:
        with turns.turn(n):
            order.append(n)

    with turns.turn(0):
        for n in (5, 3, 4):
            threads.append(threading.Thread(target=write, args=(n,)))
            threads[-1].start()
            while len(turns._asking) < len(threads):
                time.sleep(0.001)
    for thread in threads:
        thread.join()

    assert order == [3, 4, 5]


def test_partial_believes_only_what_fits(tmp_path: Path) -> None:
    """Side files that are missing, damaged, overlapping or of another size count as none."""
    partial = Partial(tmp_path / "file")
    partial.prepare(1000)
    partial.save(Part(n=0, offset=0, size_bytes=1000, completed_bytes=400))
    side = tmp_path / "file-partial-0"

    good = partial.kept_bytes()
    longer = partial.parts(2000)
    seen = []
    for text in (
        "",
        "{",
        "[]",
        '{"N":0}',
        '{"N":1,"Offset":0,"Size":1000,"Completed":4}',
        '{"N":0,"Offset":5,"Size":995,"Completed":4}',
        '{"N":0,"Offset":0,"Size":1000,"Completed":-4}',
        '{"N":0,"Offset":0,"Size":1000,"Completed":1001}',
        '{"N":0,"Offset":0,"Size":1000,"Completed":true}',
        '{"N":0,"Offset":0,"Size":5000,"Completed":4}',
    ):
        side.write_text(text)
        seen.append(partial.parts(1000))

    assert good == 400
    assert longer == []
    assert seen == [[]] * 10


def test_side_file_cut_off_while_it_was_written_over_is_read(tmp_path: Path) -> None:
    """The end of an older, longer text behind the new one does not matter."""
    partial = Partial(tmp_path / "file")
    partial.prepare(1000)
    (tmp_path / "file-partial-0").write_text('{"N":0,"Offset":0,"Size":1000,"Completed":7}\n}\n')

    assert partial.kept_bytes() == 7
