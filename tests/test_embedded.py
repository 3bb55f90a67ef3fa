"""The embedded store as a server: its door, its folder, its answers beyond the recorded ones."""

from __future__ import annotations

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
from modelwidgets.gguf import KEPT_TEXT_BYTES
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
from tests.store_bed import (
    MIB,
    SMALL,
    blobs,
    client_of,
    create,
    digest_of,
    manifest_of,
    upload,
)

DIGEST = digest_of(SMALL)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    async with EmbeddedStore(tmp_path / "models", port=0) as one:
        yield one


@pytest.fixture
async def client(store: EmbeddedStore) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(store.url) as one:
        yield one


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


async def test_a_file_that_cannot_be_removed_is_named(
    store: EmbeddedStore, client: httpx.AsyncClient
) -> None:
    """In the words of a server, which clients know; the model itself is gone."""
    await create(client, "one")
    stuck = StoreFiles(store.folder).blob_path(DIGEST)
    stuck.unlink()
    stuck.mkdir()

    answer = await client.request("DELETE", "/api/delete", json={"model": "one"})

    assert answer.status_code == 500
    assert answer.json()["error"].startswith(f"remove {stuck}: ")
    assert (await client.get("/api/tags")).json()["models"] == []


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
        "tokenizer.huggingface.json": "x" * (KEPT_TEXT_BYTES + 1),
    }
    tensor = TensorData(name="a", type="F32", shape=(2,), data=bytes(8))
    files = {"m.gguf": await upload(client, write_gguf(metadata, [tensor]))}
    await create(client, "m", files=files)

    usual = (await client.post("/api/show", json={"model": "m"})).json()["model_info"]
    whole = await client.post("/api/show", json={"model": "m", "verbose": True})

    assert usual["tokenizer.ggml.tokens"] is None
    assert usual["tokenizer.huggingface.json"] is None
    assert usual["llama.rope.freqs"] is None
    assert whole.json()["model_info"]["tokenizer.ggml.tokens"] == words
    assert len(whole.json()["model_info"]["tokenizer.huggingface.json"]) == KEPT_TEXT_BYTES + 1
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
    """`:local` and `:cloud` mean something where models run or are pulled, nothing in copies."""

    def attempt(read: Any) -> Any:
        try:
            return read(text)
        except (InvalidNameError, NoNameError, ConflictingSourceError):
            return None

    found = attempt(embedded_names.reference)
    assert str(attempt(embedded_names.grammar)) == str(plain)
    assert (found and str(found.name), found and found.source) == (looked_up, source)
    assert str(attempt(embedded_names.pulled)) == str(pulled or looked_up)


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
