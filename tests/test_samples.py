"""The samples and the registry that serves them, with every way in which it can misbehave."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import os
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from modelwidgets.gguf import read_header
from modelwidgets.records import Manifest
from modelwidgets.stores.sample_registry import Fault, SampleRegistry
from modelwidgets.stores.samples import (
    SAMPLES,
    blob_path,
    default_folder,
    make_samples,
    sample_models,
    write_model,
)
from tests.isolation import environment

CONTENT = bytes(range(256)) * 1200
DIGEST = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
STORAGE = f"/storage/{DIGEST}"
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Spares each client of the tests the loading of certificates that it does not need."""


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[SampleRegistry]:
    async with SampleRegistry(tmp_path / "registry") as registry:
        registry.add_model("someone/noise:v1", {"model": CONTENT}, {})
        yield registry


@pytest.fixture
async def http(registry: SampleRegistry) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=registry.url, timeout=5, verify=NO_TLS) as client:
        yield client


def layers(manifest: Manifest) -> dict[str, str]:
    return {layer.media_type.rpartition(".")[2]: layer.digest for layer in manifest.layers}


async def read_until_error(
    http: httpx.AsyncClient, **headers: str
) -> tuple[bytes, httpx.HTTPError | None]:
    got = bytearray()
    try:
        async with http.stream("GET", STORAGE, headers=headers) as answer:
            async for piece in answer.aiter_raw():
                got += piece
    except httpx.HTTPError as error:
        return bytes(got), error
    return bytes(got), None


# The models


def test_every_machine_makes_the_same_samples(samples_folder: Path) -> None:
    """The digests follow from the code alone, so that kernels and registries agree on them."""
    manifests = make_samples(samples_folder)

    assert {manifest.name: manifest.digest[:12] for manifest in manifests} == {
        "samples/chat:tiny": "f1e31b2bbd5b",
        "samples/chat:terse": "9afcf8dd3a0c",
        "samples/vision:tiny": "de0c95a4c1b8",
        "samples/embed:tiny": "2b9311c5a31a",
    }


def test_the_samples_are_small_and_whole(samples_folder: Path) -> None:
    """All blobs together stay under 80 MB, and each has the bytes that its name promises."""
    blobs = list((samples_folder / "blobs").iterdir())

    assert sum(blob.stat().st_size for blob in blobs) < 80_000_000
    for blob in blobs:
        assert blob.name == "sha256-" + hashlib.sha256(blob.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("name", "kind", "architecture"),
    [
        ("samples/chat:tiny", "model", "llama"),
        ("samples/vision:tiny", "model", "llama"),
        ("samples/vision:tiny", "projector", "clip"),
        ("samples/embed:tiny", "model", "bert"),
    ],
)
def test_a_sample_is_a_valid_gguf_file(
    samples_folder: Path, name: str, kind: str, architecture: str
) -> None:
    """Its header can be read, and its tensors fill the file to the last byte."""
    manifest = make_samples(samples_folder)[SAMPLES.index(name)]
    path = blob_path(samples_folder, layers(manifest)[kind])

    header = read_header(path)

    assert (header.architecture, header.file_type) == (architecture, "Q8_0")
    last = header.tensors[-1]
    end = header.data_offset + last.offset + (last.size_bytes or 0)
    assert end == path.stat().st_size
    if architecture != "clip":
        assert header.metadata["tokenizer.ggml.tokens"].length == header.tensors[0].shape[1]


def test_samples_share_layers_as_real_models_do(samples_folder: Path) -> None:
    """Two chat models share their weights, and all models the licence."""
    tiny, terse, vision, embed = (layers(each) for each in make_samples(samples_folder))

    assert tiny["model"] == terse["model"]
    assert tiny["system"] != terse["system"]
    assert len({each["license"] for each in (tiny, terse, vision, embed)}) == 1


def test_samples_are_made_once(samples_folder: Path) -> None:
    """What lies there whole is used again and not written anew."""
    before = {path: path.stat().st_mtime_ns for path in samples_folder.rglob("*")}

    make_samples(samples_folder)

    assert {path: path.stat().st_mtime_ns for path in samples_folder.rglob("*")} == before


def test_a_damaged_folder_is_mended(tmp_path: Path) -> None:
    """A blob that is gone and one that is cut come back, for several processes at once too."""
    manifests = make_samples(tmp_path)
    lost = blob_path(tmp_path, layers(manifests[0])["model"])
    cut = blob_path(tmp_path, layers(manifests[2])["projector"])
    lost.unlink()
    cut.write_bytes(cut.read_bytes()[:100])
    threads = [threading.Thread(target=make_samples, args=(tmp_path,)) for _ in range(2)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    for path in (lost, cut):
        assert path.name == "sha256-" + hashlib.sha256(path.read_bytes()).hexdigest()
    assert not list(tmp_path.rglob(".unfinished-*"))


def test_a_full_disk_leaves_no_half_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that could not be written is not there, and neither is the file that was begun."""

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(OSError, match="No space left"):
        write_model(tmp_path, "someone/noise", {"model": CONTENT}, {})

    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_samples_stand_in_the_catalog_with_exact_sizes(samples_folder: Path) -> None:
    """Entries carry the full names of the registry and what is true of its manifests."""
    manifests = dict(zip(SAMPLES, make_samples(samples_folder), strict=True))

    models = sample_models("127.0.0.1:5000", samples_folder)

    assert [model.category for model in models] == ["chat", "vision", "embedding"]
    assert [model.capabilities for model in models] == [
        ("completion",),
        ("completion", "vision"),
        ("embedding",),
    ]
    tags = {tag.name: tag for model in models for tag in model.tags}
    assert tags.keys() == {f"127.0.0.1:5000/{name}" for name in SAMPLES}
    for name, manifest in manifests.items():
        tag = tags[f"127.0.0.1:5000/{name}"]
        assert (tag.size_bytes, tag.size_exact) == (manifest.total_bytes, True)
        assert tag.digest == manifest.digest
        assert (tag.quantization, tag.tag) == ("Q8_0", name.partition(":")[2])
    assert tags["127.0.0.1:5000/samples/chat:tiny"].parameters == "23.34M"
    assert tags["127.0.0.1:5000/samples/vision:tiny"].projector_bytes == 9_104_064
    assert tags["127.0.0.1:5000/samples/embed:tiny"].context_length == 512


def test_samples_are_kept_in_the_cache() -> None:
    """The default folder may be deleted at any time."""
    assert default_folder() == Path(os.environ["MODELWIDGETS_CACHE_DIR"]) / "samples"


# The registry behaving


async def test_a_manifest_is_served_as_it_was_written(
    registry: SampleRegistry, http: httpx.AsyncClient
) -> None:
    """GET gives the bytes, HEAD their length, and the name leads there."""
    assert registry.names == [f"{registry.host_port}/someone/noise:v1"]

    got = await http.get("/v2/someone/noise/manifests/v1")
    looked = await http.head("/v2/someone/noise/manifests/v1")

    assert got.json()["layers"][0]["digest"] == DIGEST
    assert looked.headers["content-length"] == str(len(got.content))
    assert looked.content == b""


@pytest.mark.parametrize(
    "path",
    [
        "/v2/someone/noise/manifests/v2",
        "/v2/someone/other/manifests/v1",
        "/v2/someone/noise/manifests/..%2f..%2fv1",
        "/v2/someone/noise/blobs/sha256:" + "0" * 64,
        "/v2/someone/noise/blobs/..",
        "/storage/sha256:" + "0" * 64,
        "/v2/_catalog",
        "/",
    ],
)
async def test_what_is_not_there_is_404(http: httpx.AsyncClient, path: str) -> None:
    """Unknown names, tags and blobs, and paths that try to climb, find nothing."""
    answer = await http.get(path)

    assert answer.status_code == 404
    assert answer.json()["errors"]


async def test_a_blob_redirects_to_the_storage_under_another_host(
    registry: SampleRegistry, http: httpx.AsyncClient
) -> None:
    """HEAD tells the size; GET leads from 127.0.0.1 to localhost, and the other way round."""
    port = registry.host_port.partition(":")[2]
    path = f"/v2/someone/noise/blobs/{DIGEST}"

    looked = await http.head(path)
    got = await http.get(path)
    back = await http.get(path, headers={"Host": f"localhost:{port}"})

    assert (looked.status_code, looked.headers["content-length"]) == (200, str(len(CONTENT)))
    assert got.status_code == 307
    assert got.headers["location"] == f"http://localhost:{port}{STORAGE}"
    assert back.headers["location"] == f"http://127.0.0.1:{port}{STORAGE}"


@pytest.mark.parametrize(
    ("asked", "status", "part", "shown"),
    [
        (None, 200, slice(None), None),
        ("bytes=0-0", 206, slice(0, 1), "bytes 0-0/307200"),
        ("bytes=100-199", 206, slice(100, 200), "bytes 100-199/307200"),
        ("bytes=307000-", 206, slice(307_000, None), "bytes 307000-307199/307200"),
        ("bytes=307000-999999", 206, slice(307_000, None), "bytes 307000-307199/307200"),
        ("bytes=-10", 206, slice(-10, None), "bytes 307190-307199/307200"),
        ("bytes=307200-", 416, slice(0, 0), "bytes */307200"),
        ("bytes=9-8", 416, slice(0, 0), "bytes */307200"),
        ("bytes=-", 416, slice(0, 0), "bytes */307200"),
        ("bytes=0-1,5-6", 416, slice(0, 0), "bytes */307200"),
        ("lines=0-1", 416, slice(0, 0), "bytes */307200"),
    ],
)
async def test_the_storage_serves_ranges(
    http: httpx.AsyncClient, asked: str | None, status: int, part: slice, shown: str | None
) -> None:
    """A range gives exactly its bytes; one that cannot be is 416 with the size."""
    answer = await http.get(STORAGE, headers={"Range": asked} if asked else {})

    assert answer.status_code == status
    assert answer.content == CONTENT[part]
    assert answer.headers.get("content-range") == shown


async def test_the_log_tells_what_was_asked_and_sent(
    registry: SampleRegistry, http: httpx.AsyncClient
) -> None:
    """Method, path, range, status and bytes stand there; the bytes of blobs can be summed."""
    await http.get("/v2/someone/noise/manifests/v1")
    await http.get(STORAGE, headers={"Range": "bytes=0-99"})
    await http.get(STORAGE)

    manifest, part, whole = registry.log
    assert (manifest.method, manifest.path) == ("GET", "/v2/someone/noise/manifests/v1")
    assert (part.range, part.status, part.bytes_sent, part.ended) == ("bytes=0-99", 206, 100, True)
    assert (whole.range, whole.status, whole.bytes_sent) == (None, 200, len(CONTENT))
    assert registry.sent_bytes() == registry.sent_bytes(DIGEST) == 100 + len(CONTENT)


async def test_writing_is_refused(registry: SampleRegistry, http: httpx.AsyncClient) -> None:
    """The registry is read only, whatever the body says, and goes on serving."""
    refused = await http.post("/v2/someone/noise/blobs/uploads/", content=b"GET / HTTP/1.1\r\n\r\n")
    after = await http.get(STORAGE)

    assert refused.status_code == 405
    assert after.content == CONTENT


async def test_garbage_closes_one_connection_and_no_other(registry: SampleRegistry) -> None:
    """What is not HTTP, or has a head without end, ends that connection alone."""
    host, _, port = registry.host_port.partition(":")
    for sent in (
        b"\x16\x03\x01\x02\x00" * 9 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"y" * 200_000,
    ):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(sent)
        with suppress(ConnectionResetError):  # also an end, where the head was not read whole
            assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()

    async with httpx.AsyncClient(verify=NO_TLS) as http:
        answer = await http.get(registry.url + STORAGE)
    assert answer.content == CONTENT


async def test_stopping_ends_answers_that_run(registry: SampleRegistry) -> None:
    """A client in the middle of a blob sees the connection end, and nothing is left behind."""
    registry.faults.add(Fault(stall_after_bytes=10))
    async with (
        httpx.AsyncClient(timeout=5, verify=NO_TLS) as http,
        http.stream("GET", registry.url + STORAGE) as got,
    ):
        pieces = got.aiter_raw()
        first = await anext(pieces)
        await registry.stop()

        with pytest.raises(httpx.HTTPError):
            await anext(pieces)

    assert first == CONTENT[:10]
    assert registry.log[-1].ended


# The registry misbehaving


async def test_throttling_slows_all_connections_together(
    registry: SampleRegistry, http: httpx.AsyncClient
) -> None:
    """Two downloads at once take as long as their bytes need at the given rate."""
    registry.faults.throttle_bytes_per_second = 2_000_000
    started = time.monotonic()

    answers = await asyncio.gather(http.get(STORAGE), http.get(STORAGE))

    assert [answer.content for answer in answers] == [CONTENT, CONTENT]
    assert time.monotonic() - started >= 2 * len(CONTENT) / 2_000_000 - 0.03


async def test_lifting_the_throttle_frees_an_answer_that_runs(
    registry: SampleRegistry, http: httpx.AsyncClient
) -> None:
    """A switch counts at once, not only for later requests."""
    registry.faults.throttle_bytes_per_second = 30_000
    download = asyncio.create_task(http.get(STORAGE))
    while not registry.sent_bytes():  # noqa: ASYNC110 - the log has no event, tests look
        await asyncio.sleep(0.01)

    registry.faults.throttle_bytes_per_second = None
    answer = await asyncio.wait_for(download, 5)

    assert answer.content == CONTENT


async def test_a_cut_closes_the_connection_properly(
    registry: SampleRegistry, http: httpx.AsyncClient
) -> None:
    """The client gets exactly so many bytes and then the end of the stream."""
    registry.faults.add(Fault(cut_after_bytes=1000, times=1))

    got, error = await read_until_error(http)
    again = await http.get(STORAGE)

    assert isinstance(error, httpx.RemoteProtocolError)
    assert got == CONTENT[:1000]
    assert registry.log[0].bytes_sent == 1000
    assert again.content == CONTENT


async def test_a_cut_counts_from_the_start_of_the_range(
    registry: SampleRegistry, http: httpx.AsyncClient
) -> None:
    """So many bytes of the answer, not of the blob."""
    registry.faults.add(Fault(cut_after_bytes=10))

    got, error = await read_until_error(http, range="bytes=500-")

    assert isinstance(error, httpx.RemoteProtocolError)
    assert got == CONTENT[500:510]


async def test_a_reset_breaks_the_connection(registry: SampleRegistry) -> None:
    """The client gets the bytes before, then an error of the connection and no proper end."""
    registry.faults.add(Fault(reset_after_bytes=1000))
    host, _, port = registry.host_port.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {STORAGE} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    got = await reader.readexactly(1000)

    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(1), 5)
    writer.close()

    assert got == CONTENT[:1000]


async def test_a_stall_lasts_until_it_is_released(
    registry: SampleRegistry, http: httpx.AsyncClient
) -> None:
    """After so many bytes nothing comes, then all the rest."""
    registry.faults.add(Fault(stall_after_bytes=1000))
    async with http.stream("GET", STORAGE) as answer:
        pieces = answer.aiter_raw()
        got = await anext(pieces)
        rest = asyncio.ensure_future(anext(pieces))
        await asyncio.sleep(0.2)
        silent = not rest.done()

        await asyncio.to_thread(registry.faults.release)
        got += await rest
        got += b"".join([piece async for piece in pieces])

    assert silent
    assert got == CONTENT


async def test_one_corrupted_byte_is_all_that_differs(
    registry: SampleRegistry, http: httpx.AsyncClient
) -> None:
    """The byte at that place of the blob is wrong, in the whole and in a range that holds it."""
    registry.faults.add(Fault(corrupt_at_byte=200_000))

    whole = await http.get(STORAGE)
    part = await http.get(STORAGE, headers={"Range": "bytes=199999-200001"})
    other = await http.get(STORAGE, headers={"Range": "bytes=0-99"})

    wrong = bytearray(CONTENT)
    wrong[200_000] ^= 0xFF
    assert whole.content == wrong
    assert part.content == wrong[199_999:200_002]
    assert other.content == CONTENT[:100]


async def test_ignoring_a_range_sends_everything(
    registry: SampleRegistry, http: httpx.AsyncClient
) -> None:
    """As some proxies do: 200 and all bytes."""
    registry.faults.add(Fault(ignore_range=True))

    answer = await http.get(STORAGE, headers={"Range": "bytes=100-199"})

    assert (answer.status_code, answer.content) == (200, CONTENT)


async def test_blobs_can_come_without_a_redirect(
    registry: SampleRegistry, http: httpx.AsyncClient
) -> None:
    """As a registry on a plain disk does: 200 or 206 at once."""
    registry.faults.add(Fault(place="blobs", no_redirect=True))

    answer = await http.get(f"/v2/someone/noise/blobs/{DIGEST}", headers={"Range": "bytes=0-9"})

    assert (answer.status_code, answer.content) == (206, CONTENT[:10])


@pytest.mark.parametrize(
    ("place", "path"),
    [
        ("manifests", "/v2/someone/noise/manifests/v1"),
        ("blobs", f"/v2/someone/noise/blobs/{DIGEST}"),
        ("storage", STORAGE),
        ("token", "/token"),
    ],
)
async def test_any_status_can_be_asked_for(
    registry: SampleRegistry, http: httpx.AsyncClient, place: str, path: str
) -> None:
    """The first two requests to the place fail so, the third one does not."""
    registry.faults.add(Fault(place=place, status=503, body=b"busy", times=2))  # type: ignore[arg-type]

    statuses = [(await http.get(path)).status_code for _ in range(3)]

    assert statuses[:2] == [503, 503]
    assert statuses[2] in (200, 307)


async def test_one_layer_can_be_missing(registry: SampleRegistry, http: httpx.AsyncClient) -> None:
    """A fault for one digest leaves the others alone."""
    registry.add_model("someone/other", {"model": b"other"}, {})
    other = "sha256:" + hashlib.sha256(b"other").hexdigest()
    registry.faults.add(Fault(place="blobs", digest=other, status=404))

    missing = await http.head(f"/v2/someone/other/blobs/{other}")
    there = await http.head(f"/v2/someone/noise/blobs/{DIGEST}")

    assert (missing.status_code, there.status_code) == (404, 200)


async def test_a_manifest_can_be_slow(registry: SampleRegistry, http: httpx.AsyncClient) -> None:
    """Nothing comes for so long, then the manifest."""
    registry.faults.add(Fault(place="manifests", wait_seconds=0.3))
    started = time.monotonic()

    answer = await http.get("/v2/someone/noise/manifests/v1")

    assert answer.status_code == 200
    assert time.monotonic() - started >= 0.29


async def test_a_token_can_be_needed(registry: SampleRegistry, http: httpx.AsyncClient) -> None:
    """Without it 401 with the place to get it; with it the manifest; the storage needs none."""
    registry.faults.token = "open-sesame"

    refused = await http.get("/v2/someone/noise/manifests/v1")
    token = (await http.get("/token")).json()["token"]
    allowed = await http.get(
        "/v2/someone/noise/manifests/v1", headers={"Authorization": f"Bearer {token}"}
    )

    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == (
        f'Bearer realm="{registry.url}/token",service="samples",'
        'scope="repository:someone/noise:pull"'
    )
    assert allowed.status_code == 200
    assert (await http.get(STORAGE)).status_code == 200


async def test_faults_are_forgotten_at_once(
    registry: SampleRegistry, http: httpx.AsyncClient
) -> None:
    """Clearing brings back the registry as it was."""
    registry.faults.add(Fault(status=500))
    registry.faults.token = "t"
    registry.faults.throttle_bytes_per_second = 1

    registry.faults.clear()
    answer = await http.get(STORAGE)

    assert answer.content == CONTENT


# As a process of its own


def test_it_runs_as_a_process_until_its_input_ends(samples_folder: Path, tmp_path: Path) -> None:
    """The first line is the address; closing its standard input ends it properly."""
    words = ["--folder", str(samples_folder), "--throttle", "1e9", "--while-stdin"]
    with subprocess.Popen(
        [sys.executable, "-m", "modelwidgets.stores.sample_registry", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(tmp_path),
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            url = process.stdout.readline().strip()
            answer = httpx.get(f"{url}/v2/samples/chat/manifests/tiny", trust_env=False)
            process.stdin.close()
            code = process.wait(10)
        finally:
            process.kill()

    assert json.loads(answer.content)["schemaVersion"] == 2
    assert code == 0
