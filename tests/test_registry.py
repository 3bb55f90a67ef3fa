"""Asking registries: the sample registry over real sockets, the public ones' shapes in memory."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import tornado
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwidgets.errors import (
    InvalidNameError,
    ManifestNotFoundError,
    RegistryError,
    RegistryRefusedError,
    RegistryUnreachableError,
)
from modelwidgets.records import Manifest
from modelwidgets.stores.manifests import MAX_LAYERS
from modelwidgets.stores.registry import (
    MANIFEST_TYPE,
    MAX_MANIFEST_BYTES,
    RegistryClient,
    manifest_from_bytes,
)
from modelwidgets.stores.sample_registry import Fault, SampleRegistry

CONTENT = bytes(range(256)) * 1200
DIGEST = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
A, B, C = (f"sha256:{letter * 64}" for letter in "abc")


def layer(digest: str = A, size: Any = 10, media_type: str = "application/x") -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest, "size": size}


def manifest_bytes(*layers: Any, **more: Any) -> bytes:
    return json.dumps(
        {"schemaVersion": 2, "config": layer(C, 5), "layers": list(layers), **more}
    ).encode()


PLAIN = manifest_bytes(layer(A, 1000), layer(B, 200))


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[SampleRegistry]:
    async with SampleRegistry(tmp_path / "registry") as registry:
        registry.add_model("someone/noise:v1", {"model": CONTENT, "license": b"free"}, {})
        yield registry


@pytest.fixture
def name(registry: SampleRegistry) -> str:
    return registry.names[0]


@pytest.fixture
async def client() -> AsyncIterator[RegistryClient]:
    async with RegistryClient() as client:
        yield client


class Web:
    """Servers in memory: `answer` says what each gives, `asked` keeps what they were asked."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response]) -> None:
        self._answer = answer
        self.asked: list[httpx.Request] = []

    async def manifest(self, name: str, *, insecure: bool = False) -> Manifest:
        async with self.client() as client:
            return await client.manifest(name, insecure=insecure)

    def client(self) -> RegistryClient:
        return RegistryClient(transport=httpx.MockTransport(self._serve))

    def _serve(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return self._answer(request)

    @property
    def urls(self) -> list[str]:
        return [str(request.url) for request in self.asked]


def streamed(*pieces: bytes) -> httpx.AsyncByteStream:
    class Stream(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            for piece in pieces:
                yield piece

    return Stream()


def answering(status: int, content: bytes = b"", **headers: str) -> Web:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return Web(lambda _: httpx.Response(status, stream=streamed(content), headers=named))


def unauthorized(realm: str) -> httpx.Response:
    challenge = f'Bearer realm="{realm}"'
    return httpx.Response(401, stream=streamed(b""), headers={"WWW-Authenticate": challenge})


def redirecting(to: str) -> Web:
    """The first host redirects to `to`, which has the manifest."""

    def answer(request: httpx.Request) -> httpx.Response:
        if str(request.url) == to:
            return httpx.Response(200, stream=streamed(PLAIN))
        return httpx.Response(307, headers={"Location": to})

    return Web(answer)


# What is asked where


@pytest.mark.parametrize(
    ("name", "insecure", "url"),
    [
        ("llama3.2", False, "https://registry.ollama.ai/v2/library/llama3.2/manifests/latest"),
        ("llama3.2:3b", False, "https://registry.ollama.ai/v2/library/llama3.2/manifests/3b"),
        ("me/mine:v1", False, "https://registry.ollama.ai/v2/me/mine/manifests/v1"),
        ("UPPER:Tag", False, "https://registry.ollama.ai/v2/library/UPPER/manifests/Tag"),
        ("hf.co/org/Repo-GGUF:Q4_K_M", False, "https://hf.co/v2/org/Repo-GGUF/manifests/Q4_K_M"),
        (
            "huggingface.co/org/repo",
            False,
            "https://huggingface.co/v2/org/repo/manifests/latest",
        ),
        ("box:5000/a/b:c", False, "https://box:5000/v2/a/b/manifests/c"),
        ("http://box:5000/a/b:c", False, "https://box:5000/v2/a/b/manifests/c"),
        ("box:5000/a/b:c", True, "http://box:5000/v2/a/b/manifests/c"),
    ],
)
async def test_each_name_is_asked_at_its_registry(name: str, insecure: bool, url: str) -> None:
    """Host, namespace, model and tag have their places; only `insecure` gives up encryption."""
    web = answering(200, PLAIN)

    await web.manifest(name, insecure=insecure)

    assert web.urls == [url]
    assert web.asked[0].headers["accept"] == MANIFEST_TYPE
    assert web.asked[0].headers["accept-encoding"] == "identity"


async def test_a_manifest_is_known_by_its_own_bytes() -> None:
    """The digest is that of the answer as it came, the total counts each digest once."""
    raw = manifest_bytes(layer(A, 1000), layer(B, 200), layer(A, 1000))
    web = answering(200, raw)

    manifest = await web.manifest("me/mine")

    assert manifest.name == "me/mine:latest"
    assert manifest.digest == hashlib.sha256(raw).hexdigest()
    assert [each.digest for each in manifest.layers] == [A, B, A, C]
    assert manifest.total_bytes == 1000 + 200 + 5


async def test_a_real_registry_on_loopback_is_understood(
    registry: SampleRegistry, client: RegistryClient, name: str
) -> None:
    """Manifest and bytes come over a socket, and agree with what was put there."""
    manifest, raw = await client.manifest_bytes(name, insecure=True)

    assert manifest.digest == hashlib.sha256(raw).hexdigest()
    assert manifest.layers[0].digest == DIGEST
    assert manifest.total_bytes == sum(each.size_bytes for each in manifest.layers)
    assert str(manifest.name) == name


async def test_a_name_that_is_none_is_never_asked_for() -> None:
    """A text that cannot be a name is refused here."""
    web = answering(200, PLAIN)

    with pytest.raises(InvalidNameError):
        await web.manifest("a b")

    assert web.asked == []


# Tokens


async def test_a_token_is_fetched_and_shown(
    registry: SampleRegistry, client: RegistryClient, name: str
) -> None:
    """A registry that wants a token gives it to anybody: asked, fetched, asked again."""
    registry.faults.token = "open-sesame"

    manifest = await client.manifest(name, insecure=True)

    assert manifest.layers[0].digest == DIGEST
    assert [(each.path.partition("?")[0], each.status) for each in registry.log] == [
        ("/v2/someone/noise/manifests/v1", 401),
        ("/token", 200),
        ("/v2/someone/noise/manifests/v1", 200),
    ]
    assert "scope=repository%3Asomeone%2Fnoise%3Apull" in registry.log[1].path


TOKEN = "t0k3n"


def wanting_token(realm: str, token: Any = TOKEN) -> Web:
    def answer(request: httpx.Request) -> httpx.Response:
        if "/v2/" not in request.url.path:
            return httpx.Response(200, stream=streamed(json.dumps({"token": token}).encode()))
        if request.headers.get("authorization") == f"Bearer {TOKEN}":
            return httpx.Response(200, stream=streamed(PLAIN))
        return unauthorized(realm)

    return Web(answer)


async def test_a_token_may_come_from_another_host_over_https() -> None:
    """As with registries that have a host for logins alone."""
    web = wanting_token("https://auth.example/token")

    await web.manifest("box/a/b")

    assert web.urls[1] == "https://auth.example/token"
    assert "authorization" not in web.asked[1].headers


@pytest.mark.parametrize(
    "realm",
    [
        "http://auth.example/token",
        "http://box/token",
        "https://127.0.0.1/token",
        "http://localhost:8888/token",
        "file:///etc/passwd",
        "https://",
        "//box/token",
        "https://[bad",
        "",
    ],
)
async def test_a_login_elsewhere_is_not_asked(realm: str) -> None:
    """A realm that is neither the same host nor safe ends the matter, with words."""
    web = wanting_token(realm)

    with pytest.raises(RegistryRefusedError, match="wants a login at"):
        await web.manifest("box/a/b")

    assert len(web.asked) == 1


@pytest.mark.parametrize("token", ["wrong", "", "a\r\nX-Evil: 1", "ü", 7, None, "x" * 20_000])
async def test_a_token_that_does_not_help_is_a_refusal(token: Any) -> None:
    """One try and no more, and nothing strange goes into a header."""
    web = wanting_token("https://box/token", token)

    with pytest.raises(RegistryRefusedError, match="box"):
        await web.manifest("box/a/b")

    assert len(web.asked) <= 3


async def test_a_token_stays_with_its_host() -> None:
    """A redirect to another host goes without the token."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/token":
            return httpx.Response(200, stream=streamed(b'{"access_token": "t0k3n"}'))
        if request.url.host == "other":
            return httpx.Response(200, stream=streamed(PLAIN))
        if "authorization" in request.headers:
            return httpx.Response(307, headers={"Location": "https://other/m"})
        return unauthorized("https://box/token")

    web = Web(answer)

    await web.manifest("box/a/b")

    assert web.asked[2].headers["authorization"] == f"Bearer {TOKEN}"
    assert web.asked[3].url.host == "other"
    assert "authorization" not in web.asked[3].headers


# Redirects


async def test_safe_redirects_are_followed() -> None:
    """As hf.co leads to huggingface.co."""
    web = redirecting("https://huggingface.co/v2/org/repo/manifests/latest")

    manifest = await web.manifest("hf.co/org/repo")

    assert manifest.total_bytes == 1205


@pytest.mark.parametrize(
    ("name", "insecure", "to", "words"),
    [
        ("box/a/b", False, "http://box/m", "not encrypted"),
        ("box/a/b", False, "http://127.0.0.1:8888/m", "not encrypted"),
        ("box/a/b", False, "https://127.0.0.1/m", "this machine"),
        ("box/a/b", True, "http://localhost:8888/m", "this machine"),
        ("box/a/b", True, "http://[::1]:8888/m", "this machine"),
        ("box/a/b", True, "file:///etc/passwd", "no address"),
        ("box/a/b", True, "file://box/etc/passwd", "not encrypted"),
        ("box/a/b", True, "ftp://box/m", "not encrypted"),
        ("box/a/b", False, "https://[bad", "no address"),
        ("box/a/b", False, "https://box:99999/m", "no address"),
    ],
)
async def test_unsafe_redirects_are_not_followed(
    name: str, insecure: bool, to: str, words: str
) -> None:
    """From https to http, or from a stranger to this machine: named, not followed."""
    web = redirecting(to)

    with pytest.raises(RegistryError, match=words):
        await web.manifest(name, insecure=insecure)

    assert len(web.asked) == 1


async def test_a_circle_of_redirects_ends() -> None:
    """After five redirects it is said that there are too many."""
    web = Web(lambda _: httpx.Response(302, headers={"Location": "https://box/again"}))

    with pytest.raises(RegistryError, match="redirects more than 5 times"):
        await web.manifest("box/a/b")

    assert len(web.asked) == 6


# Answers that are no manifest


async def test_an_unknown_name_is_not_found(
    registry: SampleRegistry, client: RegistryClient
) -> None:
    """The error names the model and the host."""
    with pytest.raises(ManifestNotFoundError, match=r"127\.0\.0\.1:\d+ has no model .*/nothing:v1"):
        await client.manifest(f"{registry.host_port}/someone/nothing:v1", insecure=True)


@pytest.mark.parametrize(
    ("status", "body", "error", "words"),
    [
        (401, b"Invalid username or password.", RegistryRefusedError, "Invalid username or pass"),
        (403, b'{"error": "gated"}', RegistryRefusedError, "(403: gated)"),
        (
            400,
            b'{"error": "The specified tag is not a valid quantization scheme."}',
            RegistryError,
            "400 for hf.co/org/repo:Q9: The specified tag is not a valid quantization scheme. ",
        ),
        (
            412,
            b'{"errors": [{"code": "X", "message": "requires a newer version of Ollama"}]}',
            RegistryError,
            "412 for hf.co/org/repo:Q9: requires a newer version of Ollama.",
        ),
        (429, b"slow down\n\n", RegistryError, "429 for hf.co/org/repo:Q9: slow down. It limits"),
        (500, b"", RegistryError, "answered 500 for hf.co/org/repo:Q9. The fault is on its side"),
        (503, b"<html><h1>503</h1></html>", RegistryError, "503 for hf.co/org/repo:Q9: a web page"),
        (418, b"\x00\x1b[31m\xff" * 400, RegistryError, "answered 418"),
        (204, b"", RegistryError, "answered 204"),
        (304, b"", RegistryError, "answered 304"),
    ],
)
async def test_every_refusal_has_words_and_a_next_step(
    status: int, body: bytes, error: type[RegistryError], words: str
) -> None:
    """Status and text of the registry are kept, in one line that can be printed."""
    web = answering(status, body)

    with pytest.raises(error) as refused:
        await web.manifest("hf.co/org/repo:Q9")

    assert words in str(refused.value)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 700


async def test_a_web_page_is_no_manifest() -> None:
    """What a network's sign-in page answers to everything is recognised."""
    web = answering(200, b"<!DOCTYPE html><title>Welcome</title>", content_type="text/html")

    with pytest.raises(RegistryError, match="a web page instead of the manifest"):
        await web.manifest("box/a/b")


async def test_an_endless_answer_is_left() -> None:
    """Reading stops behind what a manifest may have."""
    sent = []

    class Endless(httpx.AsyncByteStream):
        def __aiter__(self) -> AsyncIterator[bytes]:
            return self  # type: ignore[return-value]

        async def __anext__(self) -> bytes:
            sent.append(1 << 16)
            return bytes(1 << 16)

    web = Web(lambda _: httpx.Response(200, stream=Endless()))

    with pytest.raises(RegistryError, match="more than 4096 KiB"):
        await web.manifest("box/a/b")

    assert sum(sent) <= MAX_MANIFEST_BYTES + (1 << 16)


async def test_a_packed_answer_is_not_unpacked() -> None:
    """A small answer cannot become a large one here, and the digest is that of the bytes."""
    web = answering(200, gzip.compress(PLAIN), content_encoding="gzip")

    with pytest.raises(RegistryError, match=r"packed \(gzip\) without being asked"):
        await web.manifest("box/a/b")


# No answer


async def test_a_slow_registry_is_given_up_in_time(registry: SampleRegistry, name: str) -> None:
    """The limit covers the whole question, and the words say how long was waited."""
    registry.faults.add(Fault(place="manifests", wait_seconds=30))

    async with RegistryClient(timeout=0.2) as client:
        with pytest.raises(RegistryUnreachableError, match=r"no answer within 0\.2 s"):
            await client.manifest(name, insecure=True)


async def test_a_silent_port_leaves_no_connection_behind() -> None:
    """Something accepts and never says a word, neither TLS nor HTTP: given up, and closed."""
    ended = asyncio.Queue[bytes]()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ended.put(await reader.read())
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    name = f"127.0.0.1:{server.sockets[0].getsockname()[1]}/a/b"

    async with RegistryClient(timeout=1) as client:
        for insecure in (True, False):
            with pytest.raises(RegistryUnreachableError, match="no answer within 1 s"):
                await client.manifest(name, insecure=insecure)
            await asyncio.wait_for(ended.get(), 2)

    server.close()
    await server.wait_closed()


async def test_many_slow_steps_do_not_add_up() -> None:
    """Redirects and tokens count against the same limit."""

    async def slow(_request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0.08)
        return httpx.Response(302, headers={"Location": "https://box/again"})

    async with RegistryClient(timeout=0.2, transport=httpx.MockTransport(slow)) as client:
        with pytest.raises(RegistryUnreachableError, match="no answer within"):
            await client.manifest("box/a/b")


async def test_a_closed_port_is_said_in_few_words(client: RegistryClient) -> None:
    """Nothing listens: refused, plainly and encrypted alike."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    for insecure in (True, False):
        with pytest.raises(RegistryUnreachableError, match=r"\(connection refused\)"):
            await client.manifest(f"127.0.0.1:{port}/a/b", insecure=insecure)


@pytest.mark.parametrize("insecure", [True, False])
async def test_an_unknown_host_is_said_in_few_words(
    client: RegistryClient, monkeypatch: pytest.MonkeyPatch, insecure: bool
) -> None:
    """Offline looks like this: no name can be resolved."""

    def offline(*_: object, **__: object) -> None:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", offline)

    with pytest.raises(
        RegistryUnreachableError, match=r"registry.ollama.ai cannot .*\(the host name is not known"
    ):
        await client.manifest("llama3.2", insecure=insecure)


@pytest.mark.parametrize("host", ["a:b", "a::1", "127.0.0.1:99999", "x" * 300, "a..b", "_", "-."])
async def test_a_host_that_cannot_be_is_an_answer(
    client: RegistryClient, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """Whatever the grammar of names lets through ends in one of our errors."""
    monkeypatch.setattr(socket, "getaddrinfo", _nowhere)

    for insecure in (True, False):
        with pytest.raises((RegistryUnreachableError, InvalidNameError)):
            await client.manifest(f"{host}/a/b", insecure=insecure)


def _nowhere(host: bytes | str, *_: object, **__: object) -> None:
    (host if isinstance(host, str) else host.decode()).encode("idna")
    raise socket.gaierror(-2, "Name or service not known")


async def test_plain_http_behind_https_is_said(client: RegistryClient, name: str) -> None:
    """Without `insecure` a registry without TLS is not talked to."""
    with pytest.raises(RegistryUnreachableError, match="no TLS there"):
        await client.manifest(name)


async def test_a_certificate_that_nobody_vouches_for_is_refused(client: RegistryClient) -> None:
    """The reason of the check is passed on."""
    certificates = Path(tornado.__file__).parent / "test"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "test.crt", certificates / "test.key")
    server = await asyncio.start_server(lambda _, w: w.close(), "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]

    with pytest.raises(RegistryUnreachableError, match="certificate is not trusted: self"):
        await client.manifest(f"127.0.0.1:{port}/a/b")

    server.close()
    await server.wait_closed()


@pytest.mark.parametrize(
    "garbage", [b"220 mail.example ESMTP\r\n\r\n", b"\x00\xff" * 40 + b"\r\n\r\n"]
)
async def test_something_else_on_the_port_is_said(client: RegistryClient, garbage: bytes) -> None:
    """What speaks no HTTP is named so, and not called offline."""

    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(garbage)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(other, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    with pytest.raises(RegistryError, match="not HTTP"):
        await client.manifest(f"127.0.0.1:{port}/a/b", insecure=True)

    server.close()
    await server.wait_closed()


async def test_an_answer_that_breaks_off_is_no_manifest(
    registry: SampleRegistry, client: RegistryClient, name: str
) -> None:
    """Half a manifest is an error, and the next try is as good as the first."""
    registry.faults.add(Fault(place="manifests", cut_after_bytes=50, times=1))

    with pytest.raises(RegistryUnreachableError, match="its answer broke off"):
        await client.manifest(name, insecure=True)
    manifest = await client.manifest(name, insecure=True)

    assert manifest.layers[0].digest == DIGEST


# Proxies


async def test_loopback_is_asked_without_a_proxy(
    registry: SampleRegistry, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy of the environment is for other hosts."""
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")

    async with RegistryClient() as client:
        manifest = await client.manifest(name, insecure=True)

    assert manifest.layers[0].digest == DIGEST


async def test_a_proxy_that_is_away_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other hosts are asked through the proxy of the environment."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")

    async with RegistryClient() as client:
        with pytest.raises(
            RegistryUnreachableError, match=r"registry\.ollama\.ai cannot be reached"
        ):
            await client.manifest("llama3.2")


@pytest.mark.parametrize("proxy", ["gopher://127.0.0.1:9", "http://[bad", "socks5://127.0.0.1:9"])
async def test_a_proxy_setting_that_cannot_be_used_is_an_answer(
    monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    """A mistyped variable of the environment does not end in a traceback."""
    monkeypatch.setenv("HTTPS_PROXY", proxy)

    async with RegistryClient() as client:
        with pytest.raises(RegistryUnreachableError, match="proxy"):
            await client.manifest("llama3.2")


# Blobs


async def test_a_blob_is_located_behind_its_redirect(
    registry: SampleRegistry, client: RegistryClient, name: str
) -> None:
    """The storage's address needs no token, and none of its bytes are fetched for that."""
    registry.faults.token = "open-sesame"

    url, headers = await client.blob_location(name, DIGEST, insecure=True)

    assert url == f"http://localhost:{registry.host_port.partition(':')[2]}/storage/{DIGEST}"
    assert headers == {}
    assert registry.sent_bytes() == 0


async def test_a_blob_without_redirect_lies_at_the_registry(
    registry: SampleRegistry, client: RegistryClient, name: str
) -> None:
    """Its own address is given, with the token that it wants."""
    registry.faults.token = "open-sesame"
    registry.faults.add(Fault(place="blobs", no_redirect=True))

    url, headers = await client.blob_location(name, DIGEST, insecure=True)

    assert url == f"{registry.url}/v2/someone/noise/blobs/{DIGEST}"
    assert headers == {"Authorization": "Bearer open-sesame"}
    assert registry.sent_bytes() <= 1


async def test_a_plain_registry_may_keep_blobs_on_another_plain_host() -> None:
    """With `insecure` the storage may be elsewhere and plain; the digest guards the bytes."""
    web = redirecting("http://minio:9000/bucket/x?signature=1")
    async with web.client() as client:
        url, headers = await client.blob_location("box:5000/a/b", A, insecure=True)

    assert (url, headers) == ("http://minio:9000/bucket/x?signature=1", {})
    assert len(web.asked) == 1


async def test_a_missing_layer_is_said(
    registry: SampleRegistry, client: RegistryClient, name: str
) -> None:
    """A blob that the registry lacks is not mistaken for an unknown name."""
    with pytest.raises(RegistryError, match="answered 404") as refused:
        await client.blob_location(name, A, insecure=True)

    assert not isinstance(refused.value, ManifestNotFoundError)


@pytest.mark.parametrize("fault", [Fault(), Fault(ignore_range=True)])
@pytest.mark.parametrize(
    ("start", "length"), [(0, 1), (100, 5000), (307_000, 10_000), (0, 400_000)]
)
async def test_a_range_of_a_blob_is_read(
    registry: SampleRegistry,
    client: RegistryClient,
    name: str,
    start: int,
    length: int,
    fault: Fault,
) -> None:
    """So many bytes from there, whether the storage knows ranges or sends everything."""
    registry.faults.add(fault)

    got = await client.read_range(name, DIGEST, start=start, length=length, insecure=True)

    assert got == CONTENT[start : start + length]


async def test_another_range_than_asked_for_is_refused() -> None:
    """Bytes from the wrong place are not passed on as the right ones."""
    web = answering(206, b"x" * 10, content_range="bytes 5-14/100")

    async with web.client() as client:
        with pytest.raises(RegistryError, match="sent another range"):
            await client.read_range("box/a/b", A, start=0, length=10)


async def test_what_is_no_digest_is_not_asked_for() -> None:
    """A path cannot be slipped in, and a range has bounds."""
    web = answering(200, b"")

    async with web.client() as client:
        for digest in ("sha256:abc", "../../secret", A + "/x", A.upper()):
            with pytest.raises(ValueError, match="no digest"):
                await client.blob_location("box/a/b", digest)
        for start, length in ((-1, 10), (0, 0), (0, 1 << 40)):
            with pytest.raises(ValueError, match="a range starts at 0"):
                await client.read_range("box/a/b", A, start=start, length=length)

    assert web.asked == []


# Hostile manifests

DEEP = b'{"layers": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
HOSTILE = {
    "nothing": (b"", "not a JSON object"),
    "no JSON": (b"hello", "not a JSON object"),
    "a list": (b"[]", "not a JSON object"),
    "nested junk": (DEEP, "not a JSON object"),
    "a huge number": (b'{"layers": ' + b"9" * 5000 + b"}", "not a JSON object"),
    "not text": (b"\xff\xfe\x00", "not a JSON object"),
    "too large": (PLAIN + b" " * MAX_MANIFEST_BYTES, "larger than 4 MiB"),
    "a list of platforms": (b'{"manifests": []}', "lists no layers"),
    "layers that are none": (manifest_bytes("x"), "no object"),
    "no config": (manifest_bytes(layer(), config=None), "no object"),
    "thousands of layers": (manifest_bytes(*[layer()] * (MAX_LAYERS + 1)), "lists 8193 layers"),
    "a negative size": (manifest_bytes(layer(size=-1)), "-1 is no size"),
    "an absurd size": (manifest_bytes(layer(size=2**63)), "9223372036854775808 is no size"),
    "half a byte": (manifest_bytes(layer(size=0.5)), "0.5 is no size"),
    "endless bytes": (manifest_bytes(layer(size=float("inf"))), "inf is no size"),
    "a size in words": (manifest_bytes(layer(size="10")), "'10' is no size"),
    "a size that is true": (manifest_bytes(layer(size=True)), "True is no size"),
    "too much together": (
        manifest_bytes(layer(A, 2**43), layer(B, 2**43), layer("sha256:" + "d" * 64, 1)),
        "add up to",
    ),
    "two sizes": (manifest_bytes(layer(A, 1), layer(A, 2)), "two sizes for sha256:aaaa"),
    "a short digest": (manifest_bytes(layer("sha256:abc")), "'sha256:abc' is no digest"),
    "capitals": (manifest_bytes(layer(A.upper())), "is no digest"),
    "another hash": (manifest_bytes(layer("md5:" + "a" * 32)), "is no digest"),
    "a path": (manifest_bytes(layer("sha256:../../../etc/passwd")), "is no digest"),
    "a digest of lists": (manifest_bytes(layer([[["x"]]])), "a list is no digest"),  # type: ignore[arg-type]
    "control characters": (manifest_bytes(layer("\x1b[31m" * 99)), "is no digest"),
    "no media type": (manifest_bytes(layer(media_type="")), "media type"),
    "a strange media type": (manifest_bytes(layer(media_type="a\ud800b")), "media type"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_manifest_is_refused(case: str) -> None:
    """What is wrong is said in a line that can be printed, with the next step."""
    raw, words = HOSTILE[case]

    with pytest.raises(RegistryError, match="Try another tag") as refused:
        manifest_from_bytes("box/a/b", raw)

    assert words in str(refused.value)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 400


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | st.just(A),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=8,
)
ENTRIES = st.fixed_dictionaries({}, optional={"mediaType": JUNK, "digest": JUNK, "size": JUNK})


@settings(max_examples=100, deadline=None)
@given(
    raw=st.one_of(
        st.binary(max_size=200),
        st.fixed_dictionaries(
            {}, optional={"layers": st.lists(ENTRIES | JUNK, max_size=4) | JUNK, "config": ENTRIES}
        ).map(lambda value: json.dumps(value).encode()),
    )
)
def test_any_bytes_are_a_manifest_or_an_error_of_ours(raw: bytes) -> None:
    """No other exception comes out, and what comes out is sane."""
    try:
        manifest = manifest_from_bytes("box/a/b", raw)
    except RegistryError:
        return
    assert manifest.total_bytes >= 0
    assert all(each.size_bytes >= 0 for each in manifest.layers)
