"""Pulls of the embedded store: what is on disk afterwards, and what the reader was told."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from modelwidgets.names import parse
from modelwidgets.stores.embedded import EmbeddedStore
from modelwidgets.stores.sample_registry import Fault, SampleRegistry
from tests.isolation import environment
from tests.store_bed import (
    MIB,
    QUICK,
    Bed,
    bed,
    client_of,
    digest_of,
    eventually,
    outline,
    start_process,
    weights,
    whole_pull,
)

MODEL = weights(6 * MIB)
DIGEST = digest_of(MODEL)
TEMPLATE = b"{{ .Prompt }}"
LOADED_BY_A_PULL = """
import asyncio, http.client, json, pathlib, sys
from modelwidgets.stores.embedded import EmbeddedStore

def pull(address, name):
    connection = http.client.HTTPConnection(address)
    connection.request("POST", "/api/pull", json.dumps({"model": name, "insecure": True}))
    return connection.getresponse().read().split(b"\\n")[-2].decode()

async def main():
    async with EmbeddedStore(pathlib.Path(sys.argv[1]), port=0) as store:
        address = store.url.removeprefix("http://")
        before = set(sys.modules)
        last = await asyncio.to_thread(pull, address, sys.argv[2])
        print(json.loads(last)["status"], *sorted(set(sys.modules) - before))

asyncio.run(main())
"""


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Bed]:
    """A store, and a registry that serves a model of 6 MB."""
    async with bed(tmp_path) as both:
        both.add("library/m6", model=MODEL, template=TEMPLATE)
        yield both


def m6(both: Bed) -> str:
    return f"{both.registry.host_port}/library/m6"


async def test_pull_installs_what_the_registry_serves(two: Bed) -> None:
    """Every byte is there under its digest, and the manifest as the registry sent it."""
    lines = await two.pull(m6(two))

    raw = (two.registry.folder / "manifests/library/m6/latest").read_bytes()
    manifest = two.files.manifest(m6(two))
    assert manifest is not None
    assert outline(lines) == whole_pull()
    assert two.files.manifest_path(parse(m6(two))).read_bytes() == raw
    assert manifest.digest == hashlib.sha256(raw).hexdigest()
    assert all(digest_of(two.stored(one.digest)) == one.digest for one in manifest.layers)
    assert len(two.blob_names()) == len(manifest.layers), "nothing unfinished is left"


async def test_a_first_pull_waits_for_no_library(two: Bed, tmp_path: Path) -> None:
    """A server that has just started has loaded what asking a registry takes."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", LOADED_BY_A_PULL, str(tmp_path / "other"), m6(two)),
        env=environment(tmp_path),
        stdout=asyncio.subprocess.PIPE,
    )
    said = (await process.communicate())[0].decode().split()

    assert said == ["success"]


async def test_lines_come_every_60_ms_and_grow(two: Bed) -> None:
    """A reader sees the bytes of the layer grow, as often as a real server tells."""
    two.registry.faults.throttle_bytes_per_second = 8 * MIB

    lines = [line for line in await two.pull(m6(two)) if line.get("digest") == DIGEST]

    counts = [line.get("completed", 0) for line in lines]
    assert 7 <= len(lines) <= 14, "about 0.75 s of lines"
    assert counts == sorted(counts)
    assert len(set(counts)) > 5
    assert all(line["total"] == len(MODEL) for line in lines)


async def test_a_layer_without_bytes_yet_has_no_count(two: Bed) -> None:
    """`completed` is left out while it is 0."""
    two.registry.faults.add(Fault(place="storage", digest=DIGEST, wait_seconds=0.25))

    lines = [line for line in await two.pull(m6(two)) if line.get("digest") == DIGEST]

    assert "completed" not in lines[0]
    assert lines[0]["total"] == len(MODEL)


async def test_pull_of_what_is_there_asks_for_the_manifest_alone(two: Bed) -> None:
    """Each layer is one line at 100 %, and no blob is asked for."""
    await two.pull(m6(two))
    two.registry.log.clear()

    lines = await two.pull(m6(two))

    layers = [line for line in lines if "digest" in line]
    assert len(layers) == 3
    assert all(line["completed"] == line["total"] for line in layers)
    assert [request.path.split("/")[4] for request in two.registry.log] == ["manifests"]


async def test_second_model_takes_the_shared_layer_at_once(two: Bed) -> None:
    """Only what the store lacks crosses the wire."""
    other = two.add("library/other", model=MODEL, system=b"You are another.")
    await two.pull(m6(two))
    before = two.registry.sent_bytes()

    await two.pull(other)

    assert two.registry.sent_bytes(DIGEST) == len(MODEL)
    assert two.registry.sent_bytes() - before < 1000
    assert digest_of(two.stored(DIGEST)) == DIGEST


async def test_pull_without_stream_answers_once(two: Bed) -> None:
    """`stream: false` is one object at the end, and a failure is HTTP 500."""
    asked = {"model": m6(two), "insecure": True, "stream": False}

    good = await two.client.post("/api/pull", json=asked)
    bad = await two.client.post("/api/pull", json={**asked, "model": f"{m6(two)}:nope"})

    assert (good.status_code, good.json()) == (200, {"status": "success"})
    assert bad.status_code == 500
    assert bad.json() == {"error": "pull model manifest: file does not exist"}


async def test_slow_manifest_is_waited_for(two: Bed) -> None:
    """A registry may take longer for its manifest than any other question may take."""
    two.registry.faults.add(Fault(place="manifests", wait_seconds=3.1))

    lines = await two.pull(m6(two))

    assert outline(lines) == whole_pull()


# Stop and resume


async def test_stop_keeps_what_arrived_to_the_byte(two: Bed) -> None:
    """300 ms after the reader left, the side file says what lies on disk, and nothing moves."""
    two.registry.faults.throttle_bytes_per_second = 16 * MIB
    await two.pull_until(m6(two), 2 * MIB)

    await eventually(lambda: all(one.ended for one in two.registry.log), within_seconds=0.3)

    (side,) = two.sides(DIGEST)
    kept = side["Completed"]
    assert 2 * MIB <= kept < len(MODEL)
    assert (side["N"], side["Offset"], side["Size"]) == (0, 0, len(MODEL))
    assert two.partial(DIGEST)[:kept] == MODEL[:kept]
    assert two.partial(DIGEST)[kept:] == bytes(len(MODEL) - kept), "not a byte more was written"
    assert await two.names() == []


async def test_pull_resumes_at_the_kept_byte(two: Bed) -> None:
    """The next pull asks for the rest alone, counts the kept bytes, ends with the right file."""
    two.registry.faults.throttle_bytes_per_second = 16 * MIB
    await two.pull_until(m6(two), 2 * MIB)
    await eventually(lambda: two.sides(DIGEST)[0]["Completed"])
    (side,) = two.sides(DIGEST)

    lines = await two.pull(m6(two))

    counts = [line.get("completed", 0) for line in lines if line.get("digest") == DIGEST]
    assert two.starts(DIGEST) == [0, side["Completed"]]
    assert counts[0] >= side["Completed"]
    assert two.stored(DIGEST) == MODEL
    assert outline(lines) == whole_pull()


async def test_pull_right_after_a_stop_waits_for_its_end(two: Bed) -> None:
    """Four stops, each followed by a pull at once: no error, and always resumed."""
    two.registry.faults.throttle_bytes_per_second = 12 * MIB
    for reached in range(1, 5):
        await two.pull_until(m6(two), reached * MIB)

    lines = await two.pull(m6(two))

    starts = two.starts(DIGEST)
    assert outline(lines) == whole_pull()
    assert starts == sorted(starts)
    assert all(starts[n] >= n * MIB for n in range(1, 5))
    assert two.stored(DIGEST) == MODEL


async def test_stop_while_the_manifest_is_awaited_leaves_nothing(two: Bed) -> None:
    """A reader that gives up before the manifest came finds no model later."""
    two.registry.faults.add(Fault(place="manifests", wait_seconds=0.5))
    async with two.pulling(m6(two)) as lines:
        first = await anext(lines)
        await eventually(lambda: two.registry.log)

    await eventually(lambda: two.registry.log[0].ended)
    await asyncio.sleep(0.1)

    assert first == {"status": "pulling manifest"}
    assert two.blob_names() == set()
    assert await two.names() == []


async def test_stopping_the_server_ends_the_stream_and_keeps_the_bytes(tmp_path: Path) -> None:
    """A server that is told to end says no word of it; the next one goes on with the bytes."""
    async with SampleRegistry(tmp_path / "registry") as registry:
        name = registry.add_model("library/m6", {"model": MODEL})
        registry.faults.throttle_bytes_per_second = 16 * MIB
        store = EmbeddedStore(tmp_path / "models", port=0, limits=QUICK)
        await store.start()
        async with client_of(store.url) as client:
            both = Bed(registry=registry, store=store, client=client)
            lines = await both.pull_broken_off(name, 2 * MIB, store.stop)
        (side,) = both.sides(DIGEST)

        again = EmbeddedStore(tmp_path / "models", port=0, limits=QUICK)
        async with again, client_of(again.url) as client:
            await Bed(registry=registry, store=again, client=client).pull(name)

        assert not any("error" in line for line in lines)
        assert side["Completed"] > 2 * MIB
        assert both.starts(DIGEST) == [0, side["Completed"]]
        assert both.stored(DIGEST) == MODEL


async def test_killed_in_the_middle_it_goes_on_where_it_was(tmp_path: Path) -> None:
    """kill -9 loses half a second at most; the rest is fetched, and the file is right."""
    async with SampleRegistry(tmp_path / "registry") as registry:
        name = registry.add_model("library/m6", {"model": MODEL})
        registry.faults.throttle_bytes_per_second = 4 * MIB
        folder = tmp_path / "models"
        process, url = await asyncio.to_thread(start_process, folder, tmp_path)

        async def kill() -> None:
            process.kill()

        try:
            async with client_of(url) as client:
                both = Bed(registry=registry, store=EmbeddedStore(folder), client=client)
                await both.pull_broken_off(name, 4 * MIB, kill)
        finally:
            process.kill()
            await asyncio.to_thread(process.communicate)
        (side,) = both.sides(DIGEST)

        store = EmbeddedStore(folder, port=0, limits=QUICK)
        async with store, client_of(store.url) as client:
            lines = await Bed(registry=registry, store=store, client=client).pull(name)

        assert side["Completed"] > MIB
        assert both.starts(DIGEST) == [0, side["Completed"]]
        assert outline(lines) == whole_pull()
        assert both.stored(DIGEST) == MODEL


# Several at once


async def test_two_readers_share_one_download(two: Bed) -> None:
    """The second starts at the counter of the first; one may leave; each byte comes once."""
    two.registry.faults.throttle_bytes_per_second = 12 * MIB
    async with two.pulling(m6(two)) as first:
        async for line in first:
            if line.get("completed", 0) > MIB:
                break
        second = asyncio.create_task(two.pull(m6(two)))
        async for line in first:
            if line.get("completed", 0) > 3 * MIB:
                break

    lines = await second

    counts = [line.get("completed", 0) for line in lines if line.get("digest") == DIGEST]
    assert counts[0] > MIB
    assert outline(lines) == whole_pull()
    assert two.registry.sent_bytes(DIGEST) == len(MODEL)
    assert two.stored(DIGEST) == MODEL


async def test_two_models_fetch_their_common_layer_once(two: Bed) -> None:
    """Pulls of different models join where they need the same blob."""
    other = two.add("library/other", model=MODEL, system=b"You are another.")
    two.registry.faults.throttle_bytes_per_second = 24 * MIB

    both = await asyncio.gather(two.pull(m6(two)), two.pull(other))

    assert [outline(lines) for lines in both] == [whole_pull(), whole_pull()]
    assert two.registry.sent_bytes(DIGEST) == len(MODEL)
    assert two.stored(DIGEST) == MODEL


async def test_different_models_run_side_by_side(two: Bed) -> None:
    """There is no queue in the store: both move from the start."""
    other_weights = weights(6 * MIB, "other")
    other = two.add("library/other", model=other_weights)
    two.registry.faults.throttle_bytes_per_second = 24 * MIB

    await asyncio.gather(two.pull(m6(two)), two.pull(other))

    asked = [one for one in two.registry.log if one.path.startswith("/storage/")]
    assert {one.digest for one in asked[:2]} == {DIGEST, digest_of(other_weights)}
    assert two.stored(digest_of(other_weights)) == other_weights


async def test_layers_come_one_after_another_in_the_order_of_the_manifest(tmp_path: Path) -> None:
    """The projector stands first in the manifest, so it comes first; the config comes last."""
    projector = weights(2 * MIB, "projector")
    async with bed(tmp_path) as both:
        name = both.add("library/vision", projector=projector, model=MODEL, system=b"See.")
        both.registry.faults.throttle_bytes_per_second = 12 * MIB

        lines = await both.pull(name)

        manifest = both.files.manifest(name)
        assert manifest is not None
        asked = [one.digest for one in both.registry.log if one.path.startswith("/storage/")]
        order = list(dict.fromkeys(line["digest"] for line in lines if "digest" in line))
        assert asked == [layer.digest for layer in manifest.layers]
        assert order[:2] == [digest_of(projector), DIGEST]


async def test_a_large_blob_comes_in_parallel_ranges(tmp_path: Path) -> None:
    """105 MB are two ranges of Ollama's size; a stop writes both down, a resume uses them."""
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(105_000_000)
        file.seek(100_000_000 - 6)
        file.write(b"across the border")
    async with bed(tmp_path) as both:
        name = both.add("library/large", model=large)
        with large.open("rb") as file:
            digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        both.registry.faults.throttle_bytes_per_second = 50 * MIB
        await both.pull_until(name, 3 * MIB)
        await eventually(lambda: all(one.ended for one in both.registry.log))
        sides = both.sides(digest)
        first = [one.range for one in both.registry.log if one.digest]
        both.registry.faults.clear()

        lines = await both.pull(name)

        assert [(one["Offset"], one["Size"]) for one in sides] == [
            (0, 100_000_000),
            (100_000_000, 5_000_000),
        ]
        assert sorted(first) == ["bytes=0-99999999", "bytes=100000000-104999999"]
        assert all(one["Completed"] for one in sides)
        assert outline(lines) == whole_pull()
        assert both.stored(digest) == large.read_bytes()


# Readers that do not read


async def test_reader_that_stops_reading_stops_the_pull_not_the_layer(two: Bed) -> None:
    """The layer that runs is finished, the next one waits for the reader, no memory grows."""
    name = two.add("library/slow", model=MODEL, projector=weights(2 * MIB))
    two.registry.faults.throttle_bytes_per_second = 2 * MIB
    host, port = two.store.url.removeprefix("http://").split(":")
    assert two.store._server
    for listening in two.store._server._sockets.values():
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1024)
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        reader.connect((host, int(port)))
        body = json.dumps({"model": name, "insecure": True}).encode()
        head = (
            f"POST /api/pull HTTP/1.1\r\nHost: x.localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        reader.sendall(head.encode() + body)

        await eventually(lambda: two.files.has_blob(DIGEST))
        await asyncio.sleep(0.3)
        waiting = [one.digest for one in two.registry.log if one.path.startswith("/storage")]
        received = await asyncio.to_thread(read_to_end, reader)

    assert received.count(b"pulling ") > 10
    assert b'{"status":"success"}' in received
    assert waiting == [DIGEST]


def read_to_end(connection: socket.socket) -> bytes:
    """A whole chunked answer."""
    connection.settimeout(10)
    received = b""
    while not received.endswith(b"0\r\n\r\n"):
        received += connection.recv(1 << 16)
    return received


# What else changes while a pull runs


async def test_replaced_model_leaves_no_layer_that_nobody_needs(two: Bed) -> None:
    """Layers of the older manifest go, unless another model has them."""
    await two.pull(m6(two))
    await two.client.post("/api/copy", json={"source": m6(two), "destination": "kept"})
    newer = two.add("library/other", model=MODEL, template=b"{{ .System }}")
    await two.pull(newer)
    old = two.files.manifest(newer)
    two.add("library/other", model=MODEL, template=b"{{ .Prompt }}", system=b"New.")

    lines = await two.pull(newer)

    new = two.files.manifest(newer)
    assert old is not None
    assert new is not None
    assert outline(lines) == whole_pull(removed=True)
    gone = {layer.digest for layer in old.layers} - {layer.digest for layer in new.layers}
    assert len(gone) == 2, "the old template and the old config"
    assert not any(two.files.has_blob(digest) for digest in gone)
    assert two.stored(DIGEST) == MODEL


async def test_delete_leaves_what_a_running_pull_counts_on(two: Bed) -> None:
    """The shared layer of a deleted model stays for the pull that found it there."""
    other_weights = weights(2 * MIB, "other")
    other = two.add("library/other", model=MODEL, projector=other_weights)
    await two.pull(m6(two))
    two.registry.faults.throttle_bytes_per_second = 4 * MIB
    async with two.pulling(other) as lines:
        async for line in lines:
            if line.get("digest") == digest_of(other_weights):
                break
        deleted = await two.client.request("DELETE", "/api/delete", json={"model": m6(two)})
        rest = [line async for line in lines]

    assert deleted.status_code == 200
    assert rest[-1] == {"status": "success"}
    assert two.stored(DIGEST) == MODEL
    assert await two.names() == [f"{other}"]
