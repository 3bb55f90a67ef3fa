"""The client of an Ollama server: what it asks, and the records that come back."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from contextlib import aclosing
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

import modelwidgets
from modelwidgets.errors import (
    BadAnswerError,
    InvalidNameError,
    NotOllamaError,
    OllamaError,
    OllamaResponseError,
    PullFailedError,
)
from modelwidgets.records import PullStep
from modelwidgets.stores.ollama import OllamaClient, ServerIdentity
from tests.recordings import Exchange, Replay, exchange, said

DIGEST = "sha256:" + "ab" * 32


class Answering(OllamaClient):
    """A client whose server gives the answers that the test hands in."""

    def __init__(self, *answers: Exchange, url: str | None = None, **options: Any) -> None:
        self.replay = Replay(*answers, anyhow=True)
        super().__init__(url, transport=self.replay, **options)

    @property
    def asked(self) -> list[Any]:
        return [json.loads(request.content) for request in self.replay.requests]


async def steps_of(client: OllamaClient, name: str = "x") -> list[PullStep]:
    async with aclosing(client.pull(name)) as stream:
        return [step async for step in stream]


# Pulls


async def test_pull_reports_each_step_in_order() -> None:
    """A caller sees the steps in the order in which the server wrote them, `success` too."""
    client = Answering(said('{"status": "pulling manifest"}', '{"status": "success"}'))

    steps = [step.status for step in await steps_of(client)]

    assert steps == ["pulling manifest", "success"]


async def test_a_step_carries_what_the_line_says_and_0_for_what_it_omits() -> None:
    """Digest, total and completed are those of the line; a missing `completed` is 0."""
    client = Answering(
        said(
            f'{{"status":"pulling ab","digest":"{DIGEST}","total":10}}',
            f'{{"status":"pulling ab","digest":"{DIGEST}","total":10,"completed":7}}',
            '{"status":"success"}',
        )
    )

    steps = await steps_of(client)

    layer = {"status": "pulling ab", "digest": DIGEST, "total_bytes": 10}
    assert steps == [
        PullStep(**layer, completed_bytes=0),
        PullStep(**layer, completed_bytes=7),
        PullStep(status="success", digest=None, total_bytes=None, completed_bytes=0),
    ]


async def test_a_resumed_pull_begins_where_the_stopped_one_ended() -> None:
    """The recording of a stop and a resume shows kept bytes in its first line with bytes."""
    client = OllamaClient(transport=Replay(exchange("pull-cancel-then-resume", "second")))

    steps = await steps_of(client)

    assert next(step.completed_bytes for step in steps if step.digest) > 4_500_000


async def test_bytes_that_fall_back_are_reported_as_they_come() -> None:
    """After a stalled connection the server counts down: the client hides nothing."""
    client = OllamaClient(transport=Replay(exchange("pull-stalled-connection-30s")))

    steps = await steps_of(client)

    falls = [
        (one.completed_bytes, other.completed_bytes)
        for one, other in pairwise(steps)
        if one.digest == other.digest and other.completed_bytes < one.completed_bytes
    ]
    assert falls == [(5013504, 65536)]


async def test_a_pull_asks_for_the_whole_name() -> None:
    """The name is sent as the server shows it, to the address with its path, as ourselves."""
    client = Answering(said('{"status":"success"}'), url="http://box/ollama")

    await steps_of(client, "https://registry.ollama.ai/library/llama3.2")

    request = client.replay.requests[0]
    assert client.asked == [{"model": "llama3.2:latest", "insecure": False}]
    assert str(request.url) == "http://box/ollama/api/pull"
    assert request.headers["User-Agent"] == f"modelwidgets/{modelwidgets.__version__}"


def test_a_bad_name_is_refused_before_anything_is_asked() -> None:
    """Every method that takes a name looks at it first, the streams too."""
    client = Answering()

    for ask in (client.pull, client.push, client.create):
        with pytest.raises(InvalidNameError):
            ask("no name")

    assert not client.replay.requests


async def test_an_error_line_fails_the_pull_with_the_words_whole() -> None:
    """A text of several lines under the status 200 is kept, with what to do beside it."""
    text = "pull model manifest: 412: \n\nThe model requires a newer version of Ollama.\n"
    client = Answering(said('{"status":"pulling manifest"}', json.dumps({"error": text})))

    with pytest.raises(PullFailedError) as caught:
        await steps_of(client)

    assert caught.value.text == text
    assert caught.value.status_code is None
    assert "update the server" in caught.value.next_step


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ((), "ended the answer before it was done"),
        (('{"status":"pulling manifest"}',), "ended the answer before it was done"),
        (('{"status":"pulling manifest"}', '{"status":"succ'), "in the middle of a line"),
    ],
)
async def test_an_end_without_success_fails_the_pull(lines: tuple[str, ...], text: str) -> None:
    """A stream that merely ends is no success, and pulling again is what helps."""
    one = said(*lines, content_length=str(len("\n".join(lines))), transfer_encoding="identity")
    client = Answering(one)

    with pytest.raises(PullFailedError) as caught:
        await steps_of(client)

    assert text in caught.value.text
    assert "resumes" in caught.value.next_step


async def test_a_last_line_without_its_newline_counts() -> None:
    """`success` is success, with or without a newline behind it."""
    line = '{"status":"success"}'
    client = Answering(said(line, transfer_encoding="identity", content_length=str(len(line))))

    steps = await steps_of(client)

    assert [step.status for step in steps] == ["success"]


@pytest.mark.parametrize(
    "line",
    [
        "<html>",
        "[]",
        "5",
        "{}",
        '{"status": 5}',
        '{"status": "x", "total": "many"}',
        '{"status": "x", "total": -1}',
        '{"status": "x", "completed": true}',
        '{"status": "x", "completed": 1e99}',
        '{"status": "x", "total": 99999999999999999999}',
        '{"status": "x", "total": 1' + "0" * 5000 + "}",
        '{"status": "x", "digest": 7}',
        '{"status": "\\ud800"}',
        "[" * 100_000,
        '{"status": "x"} {"status": "success"}',
    ],
)
async def test_a_line_that_ollama_would_not_write_is_refused(line: str) -> None:
    """Garbage in a stream ends it with an error of ours that says where it came from."""
    client = Answering(said(line, '{"status":"success"}'))

    with pytest.raises(BadAnswerError, match=r"http://127.0.0.1:11434 cannot be read") as caught:
        await steps_of(client)

    assert len(str(caught.value)) < 400


async def test_blank_lines_say_nothing() -> None:
    """Empty lines and carriage returns between the steps are no steps."""
    client = Answering(said("", '{"status":"a"}\r', " ", "\r", '{"status":"success"}'))

    steps = await steps_of(client)

    assert [step.status for step in steps] == ["a", "success"]


# Memory, copies, blobs


async def test_loading_and_unloading_ask_for_no_words() -> None:
    """A load has no prompt; an unload has a keep_alive of 0."""
    client = Answering(said("{}"), said("{}"), said("{}"))

    await client.load("x")
    await client.load("x", keep_alive="5m")
    await client.unload("x")

    model = {"model": "x:latest", "stream": False}
    assert client.asked == [
        model,
        model | {"keep_alive": "5m"},
        model | {"keep_alive": 0},
    ]


async def test_an_embedding_model_is_loaded_by_embedding_nothing() -> None:
    """A model that cannot generate is loaded through `/api/embed`; other refusals are raised."""
    refusal = said('{"error":"\\"x\\" does not support generate"}', status=400)
    client = Answering(refusal, said('{"embeddings":[]}'), said('{"error":"no"}', status=400))

    await client.load("x", keep_alive=60)
    with pytest.raises(OllamaResponseError, match="no"):
        await client.load("x")

    assert [request.url.path for request in client.replay.requests] == [
        "/api/generate",
        "/api/embed",
        "/api/generate",
    ]
    assert client.asked[1] == {"model": "x:latest", "keep_alive": 60, "stream": False, "input": ""}


async def test_copy_and_delete_send_whole_names() -> None:
    """Both names of a copy, and the one of a delete, are sent with their tags."""
    client = Answering(said(), said())

    await client.copy("a", "B:v2")
    await client.delete("user/c")

    assert client.asked == [
        {"source": "a:latest", "destination": "B:v2"},
        {"model": "user/c:latest"},
    ]
    assert client.replay.requests[1].method == "DELETE"


async def test_create_sends_only_what_was_given() -> None:
    """Fields that were not given are left out, so that the server keeps its own."""
    client = Answering(said('{"status":"success"}'), said('{"status":"success"}'))

    for stream in (
        client.create("x", files={"x.gguf": DIGEST}, parameters={"num_ctx": 9}, quantize="q4_K_M"),
        client.create("x", from_="y", system="Hi.", template="T", license="MIT"),
    ):
        async with aclosing(stream):
            assert [step.status async for step in stream] == ["success"]

    assert client.asked == [
        {
            "model": "x:latest",
            "files": {"x.gguf": DIGEST},
            "parameters": {"num_ctx": 9},
            "quantize": "q4_K_M",
        },
        {
            "model": "x:latest",
            "from": "y:latest",
            "system": "Hi.",
            "template": "T",
            "license": "MIT",
        },
    ]


async def test_a_file_and_bytes_are_uploaded_as_they_are(tmp_path: Path) -> None:
    """An upload declares its length and sends the bytes, from memory or from a file."""
    path = tmp_path / "x.gguf"
    path.write_bytes(b"GGUF" * 700_000)
    client = Answering(said(status=201), said(status=200))

    await client.upload_blob(DIGEST, path)
    await client.upload_blob(DIGEST, b"GGUF")

    file, bytes_ = client.replay.requests
    assert file.content == path.read_bytes()
    assert file.headers["Content-Length"] == "2800000"
    assert (bytes_.content, bytes_.headers["Content-Length"]) == (b"GGUF", "4")


async def test_a_file_that_shrinks_is_not_uploaded(tmp_path: Path) -> None:
    """A file that changes under an upload is said so; a missing one is the system's error."""
    path = tmp_path / "x.gguf"
    path.write_bytes(bytes(3 << 20))

    class Shrinking(Replay):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            with path.open("r+b") as file:
                file.truncate(1 << 20)
            return await super().handle_async_request(request)

    client = OllamaClient(transport=Shrinking(said(status=201), anyhow=True))

    with pytest.raises(OllamaError, match="changed while it was uploaded"):
        await client.upload_blob(DIGEST, path)
    with pytest.raises(FileNotFoundError):
        await client.upload_blob(DIGEST, tmp_path / "gone")


@pytest.mark.parametrize("digest", ["", "sha256:xyz", "../../etc", DIGEST.upper(), DIGEST + "\n"])
async def test_a_digest_is_looked_at_before_it_becomes_a_path(digest: str) -> None:
    """What is no digest reaches no server."""
    client = Answering()

    with pytest.raises(ValueError, match="64 hex digits"):
        await client.has_blob(digest)
    with pytest.raises(ValueError, match="64 hex digits"):
        await client.upload_blob(digest, b"")


# Who answers


async def test_ollama_is_identified_by_its_own_words() -> None:
    """A real server says that it is running, and its version."""
    running, version = exchange("root-version-status", 0), exchange("root-version-status", 2)
    client = OllamaClient(transport=Replay(running, version))

    identity = await client.identify()

    assert identity == ServerIdentity(
        version="0.33.0-rc2", embedded=False, folder=None, sample_registry=None
    )


async def test_our_own_store_is_identified_by_its_header() -> None:
    """The embedded store names its folder and the registry that it pulls from."""
    about = {"version": "0.1.0", "folder": "/models", "sample_registry": "http://127.0.0.1:5"}
    client = Answering(
        said("Ollama is running", x_modelwidgets="0.1.0"),
        said('{"version":"0.33.0"}', x_modelwidgets="0.1.0"),
        said(json.dumps(about), x_modelwidgets="0.1.0"),
    )

    identity = await client.identify()

    assert identity == ServerIdentity(
        version="0.33.0",
        embedded=True,
        folder="/models",
        sample_registry="http://127.0.0.1:5",
    )
    assert client.replay.requests[2].url.path == "/api/modelwidgets"


@pytest.mark.parametrize(
    ("answer", "seen"),
    [
        (said("<html>Welcome</html>", content_type="text/html"), "text/html"),
        (said('{"detail":"Not Found"}', status=404), "HTTP 404"),
        (said("Bad Gateway", status=502, content_type="text/html"), "HTTP 502"),
        (said("", status=301, location="https://login.example/?token=s3cret"), "redirects to"),
        (said("not Ollama is running"), "not Ollama"),
        (said(), "HTTP 200"),
    ],
)
async def test_something_else_at_the_address_is_not_ollama(answer: Exchange, seen: str) -> None:
    """Another program on the port is said to be one, with what it looks like."""
    client = Answering(answer)

    with pytest.raises(NotOllamaError, match=re.escape(seen)) as caught:
        await client.identify()

    assert "s3cret" not in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("answer", "advised"),
    [
        (said(status=403), "OLLAMA_ORIGINS"),
        (said("Unauthorized", status=401, content_type="text/plain"), "wants a login"),
    ],
)
async def test_a_guarded_server_is_told_from_a_foreign_one(answer: Exchange, advised: str) -> None:
    """A refused Host or Origin, or a login in front, is said as such."""
    client = Answering(answer)

    with pytest.raises(OllamaResponseError) as caught:
        await client.identify()

    assert advised in caught.value.next_step


# Answers that cannot be used


async def test_a_packed_answer_is_not_unpacked() -> None:
    """Nothing packed was asked for, so a bomb is refused unopened."""
    client = Answering(said("x", content_encoding="gzip"), said("x", content_encoding="gzip"))

    with pytest.raises(BadAnswerError, match="packed"):
        await client.list_models()
    with pytest.raises(BadAnswerError, match="packed"):
        await steps_of(client)

    assert client.replay.requests[0].headers["Accept-Encoding"] == "identity"


# Logins and headers


async def test_a_login_in_the_address_is_used_and_never_shown() -> None:
    """The login goes into the request alone: not into the URL, the repr or an error."""
    client = Answering(
        said('{"version":"1"}'), said("<html>"), url="http://me:s3cr%40t@127.0.0.1:1"
    )

    await client.version()
    with pytest.raises(BadAnswerError) as caught:
        await client.list_models()

    sent = client.replay.requests[0].headers["Authorization"]
    assert base64.b64decode(sent.removeprefix("Basic ")) == b"me:s3cr@t"
    assert client.url == "http://127.0.0.1:1"
    for shown in (repr(client), str(caught.value), str(client.replay.requests[0].url)):
        assert "s3cr" not in shown


async def test_own_headers_are_sent() -> None:
    """Headers for a proxy in front are sent with each request, and are not in the repr."""
    client = Answering(said('{"version":"1"}'), headers={"Authorization": "Bearer s3cret"})

    await client.version()

    assert client.replay.requests[0].headers["Authorization"] == "Bearer s3cret"
    assert "s3cret" not in repr(client)


@pytest.mark.parametrize("headers", [{"X": "a\r\nY: b"}, {"X Y": "a"}, {"X": "é"}, {"": "a"}])
def test_a_header_that_would_break_the_request_is_refused(headers: dict[str, str]) -> None:
    """No line break or other surprise gets into a request."""
    with pytest.raises(ValueError, match="headers"):
        OllamaClient(headers=headers)


def test_one_client_serves_one_loop_after_another() -> None:
    """A client that was used under one loop works under the next."""
    client = Answering(said('{"version":"1"}'), said('{"version":"2"}'))

    versions = [asyncio.run(client.version()), asyncio.run(client.version())]

    assert versions == ["1", "2"]
