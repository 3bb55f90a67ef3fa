"""The embedded store as a server: its door, its folder, its answers beyond the recorded ones."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from modelwidgets import __version__
from modelwidgets.errors import InvalidNameError, StoreError
from modelwidgets.names import parse
from modelwidgets.stores import embedded_names
from modelwidgets.stores.embedded import EmbeddedStore
from modelwidgets.stores.embedded_errors import RefusedError
from modelwidgets.stores.embedded_files import GRACE_SECONDS, StoreFolder
from modelwidgets.stores.embedded_http import is_allowed_host, is_allowed_origin
from modelwidgets.stores.embedded_names import ConflictingSourceError, NoNameError
from modelwidgets.stores.embedded_routes import ROUTES
from modelwidgets.stores.embedded_running import keep_alive_seconds
from modelwidgets.stores.ollama_files import StoreFiles, default_folder
from modelwidgets.stores.sample_weights import TensorData, write_gguf
from tests.store_bed import MIB, client_of, digest_of, eventually, weights

MODEL = weights(64_000)
DIGEST = digest_of(MODEL)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    async with EmbeddedStore(tmp_path / "models", port=0) as one:
        yield one


@pytest.fixture
async def client(store: EmbeddedStore) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(store.url) as one:
        yield one


async def upload(client: httpx.AsyncClient, content: bytes) -> str:
    digest = digest_of(content)
    answer = await client.post(f"/api/blobs/{digest}", content=content)
    assert answer.status_code in (200, 201), answer.text
    return digest


async def create(client: httpx.AsyncClient, name: str, **more: Any) -> list[dict[str, Any]]:
    """The lines of making a model, from the uploaded weights unless told otherwise."""
    if "from" not in more and "files" not in more:
        more["files"] = {"model.gguf": await upload(client, MODEL)}
    answer = await client.post("/api/create", json={"model": name, **more})
    return [json.loads(line) for line in answer.text.splitlines()]


def blobs(store: EmbeddedStore) -> set[str]:
    return {path.name for path in (store.folder / "blobs").iterdir()}


def manifest_of(store: EmbeddedStore, name: str) -> Path:
    return StoreFiles(store.folder).manifest_path(parse(name))


# The door


async def test_folder_in_use_is_refused(store: EmbeddedStore) -> None:
    """Two servers on one folder would not know of each other; the second says who is there."""
    other = EmbeddedStore(store.folder, port=0)

    with pytest.raises(StoreError, match=rf"process {os.getpid()}\) uses the folder"):
        await other.start()


async def test_folder_is_free_again_after_stop(tmp_path: Path) -> None:
    """The lock goes with its owner."""
    for _ in range(2):
        store = EmbeddedStore(tmp_path / "models", port=0)
        await store.start()
        await store.stop()
        await store.stop()


async def test_port_in_use_is_told_as_such(store: EmbeddedStore, tmp_path: Path) -> None:
    """Whoever starts it can tell a busy port from a bad folder, and the folder is not touched."""
    port = int(store.url.rpartition(":")[2])
    other = EmbeddedStore(tmp_path / "other", port=port)

    with pytest.raises(StoreError, match=f"^Port {port} at 127.0.0.1 is in use"):
        await other.start()

    assert not (tmp_path / "other").exists()


async def test_folder_that_cannot_be_is_told_with_a_next_step(tmp_path: Path) -> None:
    """A file in the place of the folder ends the start, and the port is free again."""
    (tmp_path / "file").write_text("x")
    store = EmbeddedStore(tmp_path / "file", port=0)

    with pytest.raises(StoreError, match="Choose a folder that you may write to"):
        await store.start()

    with socket.socket() as again:
        again.bind(("127.0.0.1", int(store.url.rpartition(":")[2])))


def test_folder_is_the_environments_or_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """OLLAMA_MODELS is a wish to share Ollama's folder; without it, it is left alone."""
    own = EmbeddedStore().folder
    monkeypatch.setenv("OLLAMA_MODELS", " '/somewhere/else' ")

    assert own == default_folder()
    assert EmbeddedStore().folder == Path("/somewhere/else")
    assert EmbeddedStore(Path("/third")).folder == Path("/third")


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("::", "http://[::1]:11434"),
        ("::1", "http://[::1]:11434"),
        ("box", "http://box:11434"),
    ],
)
def test_url_is_one_that_can_be_asked(host: str, url: str) -> None:
    """An address to listen on is not always one to speak to."""
    assert EmbeddedStore(Path("x"), host=host).url == url


async def test_every_answer_says_who_gives_it(client: httpx.AsyncClient) -> None:
    """Good answers, refusals and wrong paths carry the header of this package alone."""
    answers = [
        await client.get("/"),
        await client.get("/api/tags"),
        await client.get("/nowhere"),
        await client.get("/api/pull"),
        await client.post("/api/pull", content="{"),
        await client.get("/", headers={"Origin": "http://evil.example"}),
        await client.options("/", headers={"Origin": "http://localhost"}),
    ]

    assert {answer.headers["X-Modelwidgets"] for answer in answers} == {__version__}
    assert not any("Server" in answer.headers for answer in answers)


async def test_it_tells_where_the_models_lie(tmp_path: Path) -> None:
    """A client of ours on the same machine may look at the folder itself."""
    store = EmbeddedStore(tmp_path / "m", port=0, sample_registry="127.0.0.1:5000")
    async with store, client_of(store.url) as client:
        said = (await client.get("/api/modelwidgets")).json()

    assert said == {
        "version": __version__,
        "folder": str(tmp_path / "m"),
        "sample_registry": "127.0.0.1:5000",
    }


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("127.0.0.1:11434", True),
        ("localhost", True),
        ("LOCALHOST:80", True),
        ("[::1]:11434", True),
        ("10.1.2.3", True),
        ("192.168.0.9:99", True),
        ("0.0.0.0:11434", True),
        ("box.local:11434", True),
        ("x.internal", True),
        ("a.localhost", True),
        ("", True),
        (socket.gethostname(), True),
        ("evil.example", False),
        ("evil.example:11434", False),
        ("localhost.evil.example", False),
        ("notlocal", False),
        ("8.8.8.8", False),
        ("127.0.0.1.evil.example", False),
    ],
)
def test_only_names_of_this_machine_may_be_asked_for(host: str, allowed: bool) -> None:
    """A page cannot reach it by a name of its own that leads to loopback."""
    assert is_allowed_host(host) is allowed


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://localhost", True),
        ("https://127.0.0.1:8888", True),
        ("http://0.0.0.0:1", True),
        ("app://obsidian.md", True),
        ("file://", True),
        ("vscode-webview://abc", True),
        ("chrome-extension://abc", True),
        ("null", False),
        ("http://localhost.evil.example", False),
        ("http://evil.example", False),
        ("https://127.0.0.1.evil.example", False),
        ("https://hub.example", True),
        ("https://lab7.notebooks.example", True),
        ("https://notebooks.example", False),
    ],
)
def test_only_pages_of_this_machine_may_ask(
    origin: str, allowed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others need a word in OLLAMA_ORIGINS, where a star stands for anything."""
    monkeypatch.setenv("OLLAMA_ORIGINS", "https://hub.example, https://*.notebooks.example")

    assert is_allowed_origin(origin) is allowed


async def test_page_of_the_store_itself_may_ask(
    store: EmbeddedStore, client: httpx.AsyncClient
) -> None:
    """Its own address is no foreign origin, and needs no permission in the answer."""
    answer = await client.get("/api/tags", headers={"Origin": store.url})

    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/api/delete", "/api/pull", "/api/create", "/api/copy"])
async def test_foreign_page_changes_nothing(client: httpx.AsyncClient, path: str) -> None:
    """A refused origin is refused before the request is looked at."""
    headers = {"Origin": "https://evil.example", "Content-Type": "text/plain"}

    answer = await client.request("POST", path, content='{"model":"x"}', headers=headers)

    assert (answer.status_code, answer.content) == (403, b"")


async def test_wrong_verbs_name_the_right_ones(client: httpx.AsyncClient) -> None:
    """On every route."""
    for pattern, _ in ROUTES:
        path = pattern.replace("([^/]+)", DIGEST).replace("(?:", "").partition("|")[0]
        answer = await client.patch(path)

        assert answer.status_code == 405
        assert answer.headers["Allow"]
        assert answer.text == "405 method not allowed"


async def test_slash_too_many_is_sent_on_with_its_verb(client: httpx.AsyncClient) -> None:
    """A POST stays a POST; a path that is none with a slash is none."""
    moved = await client.post("/api/show/", content="{}")
    lost = await client.get("/api/nowhere/")

    assert (moved.status_code, moved.headers["Location"]) == (307, "/api/show")
    assert lost.status_code == 404


async def test_body_beyond_reason_is_not_read(client: httpx.AsyncClient) -> None:
    """A request of 20 MB is no request."""
    try:
        answer = await client.post("/api/show", content=b" " * (20 * MIB))
    except httpx.TransportError:
        return  # the connection was closed before all was sent

    assert answer.status_code == 400


# What lies in the folder


def make_old(path: Path, seconds: float = GRACE_SECONDS + 60) -> None:
    os.utime(path, (time.time() - seconds,) * 2)


async def test_start_sweeps_what_nobody_needs(tmp_path: Path) -> None:
    """Orphans and partials go once they are an hour old; young ones and layers in use stay."""
    async with EmbeddedStore(tmp_path, port=0) as store, client_of(store.url) as client:
        await create(client, "kept")
        needed = blobs(store)
    names = {name: tmp_path / "blobs" / name for name in ("a", "b", "c", "d")}
    names["a"] = tmp_path / "blobs" / ("sha256-" + "a" * 64)
    names["b"] = tmp_path / "blobs" / ("sha256-" + "b" * 64 + "-partial")
    names["c"] = tmp_path / "blobs" / ("sha256-" + "b" * 64 + "-partial-0")
    names["d"] = tmp_path / "blobs" / ("sha256-" + "d" * 64 + "-partial")
    for path in names.values():
        path.write_bytes(b"x")
    for path in (tmp_path / "blobs").iterdir():
        if path != names["d"]:
            make_old(path)
    empty = tmp_path / "manifests" / "h" / "n" / "m"
    empty.mkdir(parents=True)

    async with EmbeddedStore(tmp_path, port=0) as store:
        left = blobs(store)

    assert left == needed | {names["d"].name}
    assert not (tmp_path / "manifests" / "h").exists()
    assert (tmp_path / "manifests").exists()


@pytest.mark.parametrize("why", ["damaged", "told"])
async def test_start_sweeps_nothing_when_in_doubt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    """A damaged manifest may need anything; and one may be told not to."""
    folder = StoreFolder(tmp_path)
    orphan = folder.blob_path("sha256:" + "a" * 64)
    orphan.parent.mkdir(parents=True)
    orphan.write_bytes(b"x")
    make_old(orphan)
    if why == "damaged":
        folder.write_manifest(parse("bad"), b"{")
    else:
        monkeypatch.setenv("OLLAMA_NOPRUNE", "1")

    async with EmbeddedStore(tmp_path, port=0):
        kept = orphan.exists()

    assert kept


async def test_damaged_models_hide_no_others(
    store: EmbeddedStore, client: httpx.AsyncClient
) -> None:
    """As with a real server: what cannot be read is left out, without its weights it is listed."""
    for name in ("good", "torn", "noconfig", "noweights"):
        await create(client, name, system=name)
    files = StoreFiles(store.folder)
    manifest_of(store, "torn").write_text("{")
    for name, which in (("noconfig", -1), ("noweights", 0)):
        raw = json.loads(manifest_of(store, name).read_text())
        entry = raw["config"] if which == -1 else raw["layers"][0]
        entry["digest"] = digest_of(b"gone")
        manifest_of(store, name).write_text(json.dumps(raw))

    rows = {row["name"]: row for row in (await client.get("/api/tags")).json()["models"]}
    shown = {
        name: (await client.post("/api/show", json={"model": name})).status_code
        for name in ("good", "torn", "noconfig", "noweights")
    }
    deleted = {
        name: (await client.request("DELETE", "/api/delete", json={"model": name})).status_code
        for name in ("torn", "noconfig", "noweights")
    }

    assert set(rows) == {"good:latest", "noweights:latest"}
    assert "capabilities" not in rows["noweights:latest"]
    assert shown == {"good": 200, "torn": 500, "noconfig": 404, "noweights": 404}
    assert deleted == {"torn": 500, "noconfig": 200, "noweights": 200}
    assert files.manifest("good") is not None


async def test_list_is_newest_first_then_by_name(
    store: EmbeddedStore, client: httpx.AsyncClient
) -> None:
    """Models of one second keep their places, so that rows do not jump."""
    for name, age in (("b", 100), ("c", 50), ("a", 100)):
        await create(client, name)
        make_old(manifest_of(store, name), age)

    rows = (await client.get("/api/tags")).json()["models"]

    assert [row["name"] for row in rows] == ["c:latest", "a:latest", "b:latest"]


async def test_model_put_there_by_others_is_seen_at_once(
    store: EmbeddedStore, client: httpx.AsyncClient
) -> None:
    """The folder is the truth: what Ollama pulls or deletes meanwhile shows in the next list."""
    await create(client, "one")
    before = (await client.get("/api/tags")).json()["models"]

    moved = manifest_of(store, "two")
    moved.parent.mkdir()
    manifest_of(store, "one").rename(moved)
    after = (await client.get("/api/tags")).json()["models"]

    assert [row["name"] for row in before] == ["one:latest"]
    assert [row["name"] for row in after] == ["two:latest"]


async def test_long_arrays_are_shown_only_on_request(client: httpx.AsyncClient) -> None:
    """A vocabulary is megabytes: null in the usual answer, whole with `verbose`."""
    words = [f"word {n}" for n in range(2000)]
    metadata = {
        "general.architecture": "llama",
        "llama.rope.freqs": [0.1, 0.25],
        "tokenizer.ggml.tokens": words,
    }
    tensor = TensorData(name="a", type="F32", shape=(2,), data=bytes(8))
    files = {"m.gguf": await upload(client, write_gguf(metadata, [tensor]))}
    await create(client, "m", files=files)

    usual = (await client.post("/api/show", json={"model": "m"})).json()["model_info"]
    whole = await client.post("/api/show", json={"model": "m", "verbose": True})

    assert usual["tokenizer.ggml.tokens"] is None
    assert usual["llama.rope.freqs"] is None
    assert whole.json()["model_info"]["tokenizer.ggml.tokens"] == words
    assert '"llama.rope.freqs":[0.1,0.25]' in whole.text, "single precision, as Go prints it"


async def test_openai_list_tells_when_models_came(
    store: EmbeddedStore, client: httpx.AsyncClient
) -> None:
    """The other list has seconds, and the namespace as owner."""
    await create(client, "someone/m")

    (row,) = (await client.get("/v1/models")).json()["data"]

    created = int(manifest_of(store, "someone/m").stat().st_mtime)
    assert row == {
        "id": "someone/m:latest",
        "object": "model",
        "created": created,
        "owned_by": "someone",
    }


# Names


@pytest.mark.parametrize(
    ("text", "plain", "looked_up", "source", "pulled"),
    [
        ("x", "x:latest", "x:latest", "", "x:latest"),
        ("x:20b", "x:20b", "x:20b", "", "x:20b"),
        ("x:local", "x:local", "x:latest", "local", "x:latest"),
        ("x:20b:LOCAL", None, "x:20b", "local", "x:20b"),
        ("x:cloud", "x:cloud", "x:latest", "cloud", "x:cloud"),
        ("x:20b:cloud", None, "x:20b", "cloud", "x:20b-cloud"),
        ("x:20b-cloud", "x:20b-cloud", "x:20b", "cloud", "x:20b-cloud"),
        ("h.example:81/n/x", "h.example:81/n/x:latest", "h.example:81/n/x:latest", "", None),
        (" x ", None, "x:latest", "", "x:latest"),
        ("", None, None, None, None),
        ("x:local:cloud", None, None, None, None),
        ("x:cloud:local", None, None, None, None),
    ],
)
def test_names_say_where_to_look(
    text: str, plain: str | None, looked_up: str | None, source: str | None, pulled: str | None
) -> None:
    """`:local` and `:cloud` mean something where models are run or pulled, and nothing in copies."""

    def attempt(read: Any) -> Any:
        try:
            return read(text)
        except (InvalidNameError, NoNameError, ConflictingSourceError):
            return None

    found = attempt(embedded_names.reference)
    assert str(attempt(embedded_names.grammar)) == str(plain)
    assert (found and str(found.name), found and found.source) == (looked_up, source)
    assert str(attempt(embedded_names.pulled)) == str(pulled or looked_up)


# Uploads


async def test_upload_in_pieces_is_kept_under_its_digest(
    store: EmbeddedStore, client: httpx.AsyncClient
) -> None:
    """A file of any size passes through without being held in memory."""
    content = weights(3 * MIB)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 100_000):
            yield content[start : start + 100_000]

    answer = await client.post(f"/api/blobs/{digest_of(content)}", content=pieces())

    assert answer.status_code == 201
    assert StoreFiles(store.folder).blob_path(digest_of(content)).read_bytes() == content
    assert blobs(store) == {digest_of(content).replace(":", "-")}


async def test_upload_with_wrong_bytes_leaves_nothing(
    store: EmbeddedStore, client: httpx.AsyncClient
) -> None:
    """Neither under the announced digest nor under the true one."""
    answer = await client.post(f"/api/blobs/{DIGEST}", content=b"other")

    assert answer.status_code == 400
    assert answer.json()["error"] == (
        f'digest mismatch, expected "{DIGEST}", got "{digest_of(b"other")}"'
    )
    assert blobs(store) == set()


@pytest.mark.parametrize("digest", ["sha256:x", "x", "..%2f..%2fetc", "sha256:" + "0" * 63])
async def test_upload_to_no_digest_is_refused(
    store: EmbeddedStore, client: httpx.AsyncClient, digest: str
) -> None:
    """A path is not a place to write to."""
    answer = await client.post(f"/api/blobs/{digest}", content=b"x")

    assert answer.status_code == 400
    assert answer.json() == {"error": "invalid digest format"}
    assert blobs(store) == set()


async def test_upload_that_breaks_off_leaves_nothing(store: EmbeddedStore) -> None:
    """A client that goes away in the middle leaves no file."""
    host, port = store.url.removeprefix("http://").split(":")
    _reader, writer = await asyncio.open_connection(host, int(port))
    head = (
        f"POST /api/blobs/{DIGEST} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(MODEL)}\r\n"
    )
    writer.write(head.encode() + b"\r\n" + MODEL[:1000])
    await eventually(lambda: blobs(store))

    writer.close()
    await writer.wait_closed()

    await eventually(lambda: not blobs(store))


# Making models


async def test_made_model_lies_there_as_ollama_would_write_it(
    store: EmbeddedStore, client: httpx.AsyncClient
) -> None:
    """Layers, config and manifest, byte for byte."""
    lines = await create(
        client,
        "made",
        template="{{ .System }}{{ .Prompt }}",
        system="Be brief.",
        license=["One.", "Two."],
        parameters={"stop": ["<a>"], "num_ctx": 256, "temperature": 0.5},
        messages=[{"role": "user", "content": "hi"}],
    )

    manifest = json.loads(manifest_of(store, "made").read_text())
    files = StoreFiles(store.folder)
    contents = [files.blob_path(one["digest"]).read_bytes() for one in manifest["layers"]]
    config = files.blob_path(manifest["config"]["digest"]).read_bytes()
    kinds = [one["mediaType"].rpartition(".")[2] for one in manifest["layers"]]
    texts = ["template", "system", "license", "license", "params", "messages"]
    assert kinds == ["model", *texts]
    assert contents == [
        MODEL,
        b"{{ .System }}{{ .Prompt }}",
        b"Be brief.",
        b"One.",
        b"Two.",
        b'{"num_ctx":256,"stop":["\\u003ca\\u003e"],"temperature":0.5}\n',
        b'[{"role":"user","content":"hi"}]\n',
    ]
    assert config == (
        b'{"model_format":"gguf","model_family":"llama","model_families":["llama"],'
        b'"model_type":"16K","file_type":"F32","architecture":"amd64","os":"linux"}\n'
    )
    assert lines[-1] == {"status": "success"}
    assert manifest_of(store, "made").read_text().endswith("}\n")


async def test_model_from_another_takes_its_layers_over(
    store: EmbeddedStore, client: httpx.AsyncClient
) -> None:
    """What is said anew replaces, parameters are merged, the rest stays; no weights are copied."""
    await create(client, "base", system="Old.", parameters={"num_ctx": 9, "stop": ["x"]})

    lines = await create(
        client, "new", **{"from": "base"}, system="New.", parameters={"num_ctx": 8}
    )

    shown = (await client.post("/api/show", json={"model": "new"})).json()
    assert lines[0] == {"status": f"using existing layer {DIGEST}"}
    assert shown["system"] == "New."
    assert shown["parameters"].split("\n") == [f"{'num_ctx':<30} 8", f'{"stop":<30} "x"']
    assert shown["details"]["parent_model"] == "base:latest"


async def test_making_a_model_anew_removes_what_only_the_old_one_had(
    store: EmbeddedStore, client: httpx.AsyncClient
) -> None:
    """The weights stay, the old system prompt goes."""
    await create(client, "m", system="Old.")

    await create(client, "m", system="New.")

    files = StoreFiles(store.folder)
    assert not files.has_blob(digest_of(b"Old."))
    assert files.has_blob(digest_of(b"New."))
    assert files.has_blob(DIGEST)


async def test_adapters_and_projectors_are_known_by_their_headers(
    store: EmbeddedStore, client: httpx.AsyncClient
) -> None:
    """What a file is stands in it, not in its name."""
    projector = write_gguf({"general.architecture": "clip", "clip.has_vision_encoder": True})
    adapter = write_gguf({"general.architecture": "llama", "general.type": "adapter"})
    files = {name: await upload(client, one) for name, one in {"a": MODEL, "b": projector}.items()}
    adapters = {"c.gguf": await upload(client, adapter)}

    await create(client, "m", files=files, adapters=adapters)

    manifest = json.loads(manifest_of(store, "m").read_text())
    kinds = [one["mediaType"].rpartition(".")[2] for one in manifest["layers"]]
    assert kinds == ["model", "projector", "adapter"]
    listed = (await client.get("/api/tags")).json()["models"][0]
    assert listed["capabilities"] == ["completion", "vision"]


@pytest.mark.parametrize(
    ("asked", "status", "error"),
    [
        ({"model": "../x"}, 400, "invalid model name"),
        ({"model": "m"}, 400, "neither 'from' or 'files' was specified"),
        ({"model": "m", "files": {}}, 400, "unknown type"),
        ({"model": "m", "files": {"../m.gguf": DIGEST}}, 400, "file path must be relative"),
        ({"model": "m", "files": {"/m.gguf": DIGEST}}, 400, "file path must be relative"),
        ({"model": "m", "files": {"m.gguf": ""}}, 400, "invalid digest format"),
        ({"model": "m", "files": {"m.gguf": "sha256:../x"}}, 400, "invalid digest format"),
        ({"model": "m", "files": {"m.bin": DIGEST}}, 400, "unknown type"),
        ({"model": "m", "files": {"m.safetensors": DIGEST}}, 501, "to convert safetensors"),
        ({"model": "m", "from": "a/b/c/d"}, 400, "invalid model name"),
        ({"model": "m", "from": "x:cloud"}, 501, "to use a model of the cloud"),
        ({"model": "m", "files": 5}, 400, "CreateRequest.files of type map[string]string"),
        ({"model": "m", "files": {"a": 5}}, 400, "CreateRequest.files of type string"),
        ({"model": "m", "from": "x", "info": {"a": 1}}, 501, "to set the model's config"),
        ({"model": "m", "draft_files": {"a": DIGEST}}, 501, "to add a draft model"),
    ],
)
async def test_creation_that_cannot_be_is_refused_in_words(
    store: EmbeddedStore, client: httpx.AsyncClient, asked: dict[str, Any], status: int, error: str
) -> None:
    """Before anything is written, with a status of its own."""
    answer = await client.post("/api/create", json=asked)

    assert answer.status_code == status
    assert error in answer.json()["error"]
    assert blobs(store) == set()


@pytest.mark.parametrize(
    ("content", "more", "error"),
    [
        (MODEL[:-100], {}, 'tensor "token_embd.weight" offset+size'),
        (MODEL[:50], {}, "ends inside its GGUF header"),
        (b"GGUF" + b"\xff" * 100, {}, "no usable GGUF"),
        (b"not a model", {}, "supplied file was not in GGUF format"),
        (MODEL, {"template": "{{ if .x }}"}, "template error"),
        (MODEL, {"quantize": "q4_K_M"}, "to quantize models"),
        (
            write_gguf({"general.architecture": "x", "split.count": 2}),
            {},
            "to merge the split file",
        ),
    ],
)
async def test_file_that_cannot_be_taken_ends_the_creation(
    client: httpx.AsyncClient, content: bytes, more: dict[str, Any], error: str
) -> None:
    """With the reason as the last line, and no model."""
    files = {"m.gguf": await upload(client, content)}

    lines = await create(client, "m", files=files, **more)

    assert error in lines[-1]["error"]
    assert (await client.get("/api/tags")).json() == {"models": []}


# How long models stay


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (0, 0),
        (300, 300),
        (-1, float("inf")),
        ("0", 0),
        ("-0", 0),
        ("5m", 300),
        ("1h30m", 5400),
        ("1.5s", 1.5),
        (".5s", 0.5),
        ("-1m", float("inf")),
        ("+2ms", 0.002),
    ],
)
def test_keep_alive_is_read_as_go_reads_it(value: Any, seconds: float) -> None:
    """A number is seconds, a text has units, below zero means for ever."""
    assert keep_alive_seconds(value) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("", 'time: invalid duration ""'),
        ("-", 'time: invalid duration "-"'),
        ("abc", 'time: invalid duration "abc"'),
        ("300", 'time: missing unit in duration "300"'),
        ("5x", 'time: unknown unit "x" in duration "5x"'),
        ("5m abc", 'time: unknown unit "m abc" in duration "5m abc"'),
        (True, "Unsupported type: 'bool'"),
        ([], "Unsupported type: '[]interface {}'"),
    ],
)
def test_keep_alive_that_is_none_is_refused_in_gos_words(value: Any, error: str) -> None:
    """The words are what a client of a real server knows."""
    with pytest.raises(RefusedError) as refused:
        keep_alive_seconds(value)

    assert str(refused.value) == error


@pytest.mark.parametrize("path", ["generate", "chat", "embed", "embeddings"])
async def test_running_a_model_is_refused_with_a_next_step(
    client: httpx.AsyncClient, path: str
) -> None:
    """Not 404 and not 200: 501, and what to do."""
    await create(client, "m")
    asked = {"model": "m", "prompt": "x", "input": "x", "messages": [{"role": "user"}]}

    answer = await client.post(f"/api/{path}", json=asked)

    assert answer.status_code == 501
    assert answer.json()["error"] == (
        "the embedded store runs no models; start Ollama with the same folder"
    )


@pytest.mark.parametrize("path", ["chat/completions", "completions", "embeddings", "messages"])
async def test_other_vendors_routes_are_refused_alike(client: httpx.AsyncClient, path: str) -> None:
    """A client that speaks another protocol learns the same."""
    answer = await client.post(f"/v1/{path}", json={"model": "m"})

    assert answer.status_code == 501
    assert "runs no models" in answer.json()["error"]
