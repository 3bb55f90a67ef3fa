"""Pulls of the embedded store: what is on disk afterwards, and what the reader was told."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modelwidgets.names import parse
from modelwidgets.stores.embedded import EmbeddedStore
from modelwidgets.stores.embedded_pull import PullLimits
from modelwidgets.stores.sample_registry import Fault, SampleRegistry
from modelwidgets.stores.transfer import Patience
from tests import small_disk
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

TWELVE = weights(12 * MIB)
DIGEST = digest_of(TWELVE)
TEMPLATE = b"{{ .Prompt }}"


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Bed]:
    """A store, and a registry that serves a model of 12 MB."""
    async with bed(tmp_path) as both:
        both.add("library/m12", model=TWELVE, template=TEMPLATE)
        yield both


def m12(both: Bed) -> str:
    return f"{both.registry.host_port}/library/m12"


def fetched_from(both: Bed) -> list[int]:
    """Where each range of the 12 MB began, in the order asked."""
    asked = [request for request in both.registry.log if request.digest == DIGEST]
    return [int((request.range or "=0-").partition("=")[2].partition("-")[0]) for request in asked]


async def test_pull_installs_what_the_registry_serves(two: Bed) -> None:
    """Every byte is there under its digest, and the manifest as the registry sent it."""
    lines = await two.pull(m12(two))

    raw = (two.registry.folder / "manifests/library/m12/latest").read_bytes()
    manifest = two.files.manifest(m12(two))
    assert manifest is not None
    assert outline(lines) == whole_pull()
    assert two.files.manifest_path(parse(m12(two))).read_bytes() == raw
    assert manifest.digest == hashlib.sha256(raw).hexdigest()
    assert all(digest_of(two.stored(one.digest)) == one.digest for one in manifest.layers)
    assert len(two.blob_names()) == len(manifest.layers), "nothing unfinished is left"


async def test_lines_come_every_60_ms_and_grow(two: Bed) -> None:
    """A reader sees the bytes of the layer grow, as often as a real server tells."""
    two.registry.faults.throttle_bytes_per_second = 16 * MIB

    lines = [line for line in await two.pull(m12(two)) if line.get("digest") == DIGEST]

    counts = [line.get("completed", 0) for line in lines]
    assert 7 <= len(lines) <= 14, "about 0.75 s of lines"
    assert counts == sorted(counts)
    assert len(set(counts)) > 5
    assert all(line["total"] == len(TWELVE) for line in lines)


async def test_a_layer_without_bytes_yet_has_no_count(two: Bed) -> None:
    """`completed` is left out while it is 0."""
    two.registry.faults.add(Fault(place="storage", digest=DIGEST, wait_seconds=0.25))

    lines = [line for line in await two.pull(m12(two)) if line.get("digest") == DIGEST]

    assert "completed" not in lines[0]
    assert lines[0]["total"] == len(TWELVE)


async def test_pull_of_what_is_there_asks_for_the_manifest_alone(two: Bed) -> None:
    """Each layer is one line at 100 %, and no blob is asked for."""
    await two.pull(m12(two))
    two.registry.log.clear()

    lines = await two.pull(m12(two))

    layers = [line for line in lines if "digest" in line]
    assert len(layers) == 3
    assert all(line["completed"] == line["total"] for line in layers)
    assert [request.path.split("/")[4] for request in two.registry.log] == ["manifests"]


async def test_second_model_takes_the_shared_layer_at_once(two: Bed) -> None:
    """Only what the store lacks crosses the wire."""
    other = two.add("library/other", model=TWELVE, system=b"You are another.")
    await two.pull(m12(two))
    before = two.registry.sent_bytes()

    await two.pull(other)

    assert two.registry.sent_bytes(DIGEST) == len(TWELVE)
    assert two.registry.sent_bytes() - before < 1000
    assert digest_of(two.stored(DIGEST)) == DIGEST


async def test_pull_without_stream_answers_once(two: Bed) -> None:
    """`stream: false` is one object at the end, and a failure is HTTP 500."""
    asked = {"model": m12(two), "insecure": True, "stream": False}

    good = await two.client.post("/api/pull", json=asked)
    bad = await two.client.post("/api/pull", json={**asked, "model": f"{m12(two)}:nope"})

    assert (good.status_code, good.json()) == (200, {"status": "success"})
    assert bad.status_code == 500
    assert bad.json() == {"error": "pull model manifest: file does not exist"}


async def test_slow_manifest_is_waited_for(two: Bed) -> None:
    """A registry may take longer for its manifest than any other question may take."""
    two.registry.faults.add(Fault(place="manifests", wait_seconds=3.3))

    lines = await two.pull(m12(two))

    assert outline(lines) == whole_pull()


# Stop and resume


async def test_stop_keeps_what_arrived_to_the_byte(two: Bed) -> None:
    """300 ms after the reader left, the side file says what lies on disk, and nothing moves."""
    two.registry.faults.throttle_bytes_per_second = 16 * MIB
    await two.pull_until(m12(two), 4 * MIB)

    await eventually(lambda: all(one.ended for one in two.registry.log), within_seconds=0.3)

    (side,) = two.sides(DIGEST)
    kept = side["Completed"]
    assert 4 * MIB <= kept < len(TWELVE)
    assert (side["N"], side["Offset"], side["Size"]) == (0, 0, len(TWELVE))
    assert two.partial(DIGEST)[:kept] == TWELVE[:kept]
    assert two.partial(DIGEST)[kept:] == bytes(len(TWELVE) - kept), "not a byte more was written"
    assert await two.names() == []


async def test_pull_resumes_at_the_kept_byte(two: Bed) -> None:
    """The next pull asks for the rest alone, counts the kept bytes, and ends with the right file."""
    two.registry.faults.throttle_bytes_per_second = 16 * MIB
    await two.pull_until(m12(two), 4 * MIB)
    await eventually(lambda: two.sides(DIGEST)[0]["Completed"])
    (side,) = two.sides(DIGEST)

    lines = await two.pull(m12(two))

    counts = [line["completed"] for line in lines if line.get("digest") == DIGEST]
    assert fetched_from(two) == [0, side["Completed"]]
    assert counts[0] >= side["Completed"]
    assert two.stored(DIGEST) == TWELVE
    assert outline(lines) == whole_pull()


async def test_pull_right_after_a_stop_waits_for_its_end(two: Bed) -> None:
    """Four stops, each followed by a pull at once: no error, and always resumed."""
    two.registry.faults.throttle_bytes_per_second = 12 * MIB
    for tenth in range(1, 5):
        await two.pull_until(m12(two), tenth * MIB)

    lines = await two.pull(m12(two))

    starts = fetched_from(two)
    assert outline(lines) == whole_pull()
    assert starts == sorted(starts)
    assert all(starts[n] >= n * MIB for n in range(1, 5))
    assert two.stored(DIGEST) == TWELVE


async def test_stop_while_the_manifest_is_awaited_leaves_nothing(two: Bed) -> None:
    """A reader that gives up before the manifest came finds no model later."""
    two.registry.faults.add(Fault(place="manifests", wait_seconds=0.5))
    async with two.pulling(m12(two)) as lines:
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
        name = registry.add_model("library/m12", {"model": TWELVE})
        registry.faults.throttle_bytes_per_second = 16 * MIB
        store = EmbeddedStore(tmp_path / "models", port=0, limits=QUICK)
        await store.start()
        async with client_of(store.url) as client:
            both = Bed(registry=registry, store=store, client=client)
            lines = []
            async with both.pulling(name) as read:
                with pytest.raises(Exception, match="incomplete chunked read"):
                    async for line in read:
                        lines.append(line)
                        if line.get("completed", 0) > 4 * MIB:
                            await store.stop()
            (side,) = both.sides(DIGEST)

        async with EmbeddedStore(tmp_path / "models", port=0, limits=QUICK) as again:
            async with client_of(again.url) as client:
                await Bed(registry=registry, store=again, client=client).pull(name)

        assert not any("error" in line for line in lines)
        assert side["Completed"] > 4 * MIB
        assert registry.sent_bytes(DIGEST) < 2 * len(TWELVE)
        assert both.stored(DIGEST) == TWELVE


async def test_killed_in_the_middle_it_goes_on_where_it_was(tmp_path: Path) -> None:
    """kill -9 loses half a second at most; the rest is fetched, and the file is right."""
    async with SampleRegistry(tmp_path / "registry") as registry:
        name = registry.add_model("library/m12", {"model": TWELVE})
        registry.faults.throttle_bytes_per_second = 8 * MIB
        folder = tmp_path / "models"
        process, url = await asyncio.to_thread(start_process, folder, tmp_path)
        try:
            async with client_of(url) as client:
                both = Bed(registry=registry, store=EmbeddedStore(folder), client=client)
                with pytest.raises(Exception, match="incomplete chunked read|peer closed"):
                    async with both.pulling(name) as lines:
                        async for line in lines:
                            if line.get("completed", 0) > 7 * MIB:
                                process.kill()
        finally:
            process.kill()
            await asyncio.to_thread(process.communicate)
        (side,) = both.sides(DIGEST)

        async with EmbeddedStore(folder, port=0, limits=QUICK) as store:
            async with client_of(store.url) as client:
                lines = await Bed(registry=registry, store=store, client=client).pull(name)

        again = [one for one in registry.log if one.digest == DIGEST][-1]
        assert side["Completed"] > 2 * MIB
        assert again.range == f"bytes={side['Completed']}-{len(TWELVE) - 1}"
        assert outline(lines) == whole_pull()
        assert both.stored(DIGEST) == TWELVE


# Several at once


async def test_two_readers_share_one_download(two: Bed) -> None:
    """The second starts at the counter of the first; one may leave; each byte comes once."""
    two.registry.faults.throttle_bytes_per_second = 12 * MIB
    async with two.pulling(m12(two)) as first:
        async for line in first:
            if line.get("completed", 0) > 2 * MIB:
                break
        second = asyncio.create_task(two.pull(m12(two)))
        async for line in first:
            if line.get("completed", 0) > 6 * MIB:
                break

    lines = await second

    counts = [line["completed"] for line in lines if line.get("digest") == DIGEST]
    assert counts[0] > 2 * MIB
    assert outline(lines) == whole_pull()
    assert two.registry.sent_bytes(DIGEST) == len(TWELVE)
    assert two.stored(DIGEST) == TWELVE


async def test_two_models_fetch_their_common_layer_once(two: Bed) -> None:
    """Pulls of different models join where they need the same blob."""
    other = two.add("library/other", model=TWELVE, system=b"You are another.")
    two.registry.faults.throttle_bytes_per_second = 24 * MIB

    both = await asyncio.gather(two.pull(m12(two)), two.pull(other))

    assert [outline(lines) for lines in both] == [whole_pull(), whole_pull()]
    assert two.registry.sent_bytes(DIGEST) == len(TWELVE)
    assert two.stored(DIGEST) == TWELVE


async def test_different_models_run_side_by_side(two: Bed) -> None:
    """There is no queue in the store: both move from the start."""
    other_weights = weights(12 * MIB, "other")
    other = two.add("library/other", model=other_weights)
    two.registry.faults.throttle_bytes_per_second = 24 * MIB

    await asyncio.gather(two.pull(m12(two)), two.pull(other))

    asked = [one for one in two.registry.log if one.path.startswith("/storage/")]
    assert {one.digest for one in asked[:2]} == {DIGEST, digest_of(other_weights)}
    assert two.stored(digest_of(other_weights)) == other_weights


async def test_layers_come_one_after_another_in_the_order_of_the_manifest(tmp_path: Path) -> None:
    """The projector stands first in the manifest, so it comes first; the config comes last."""
    projector = weights(3 * MIB, "projector")
    async with bed(tmp_path) as both:
        name = both.add("library/vision", projector=projector, model=TWELVE, system=b"See.")
        both.registry.faults.throttle_bytes_per_second = 30 * MIB

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


# Trouble on the way


async def test_clean_end_of_a_connection_keeps_its_bytes(two: Bed) -> None:
    """A storage that closes early is asked for the rest alone."""
    two.registry.faults.add(Fault(cut_after_bytes=5 * MIB, digest=DIGEST, times=1))

    lines = await two.pull(m12(two))

    assert fetched_from(two) == [0, 5 * MIB]
    assert outline(lines) == whole_pull()
    assert two.stored(DIGEST) == TWELVE


async def test_reset_drops_what_came_over_that_connection(two: Bed) -> None:
    """As with a real server the counter falls back, and the range is fetched again from there."""
    two.registry.faults.throttle_bytes_per_second = 24 * MIB
    two.registry.faults.add(Fault(reset_after_bytes=5 * MIB, digest=DIGEST, times=1))

    lines = await two.pull(m12(two))

    counts = [line.get("completed", 0) for line in lines if line.get("digest") == DIGEST]
    assert fetched_from(two) == [0, 0]
    assert counts != sorted(counts)
    assert two.stored(DIGEST) == TWELVE


async def test_silence_is_given_up_and_asked_again_without_limit(two: Bed) -> None:
    """Each silent connection is dropped after its time, more often than errors would be borne."""
    two.registry.faults.add(Fault(stall_after_bytes=5 * MIB, digest=DIGEST, times=7))
    patience = replace(QUICK.patience, stall_seconds=0.2)
    async with EmbeddedStore(
        two.store.folder.parent / "other", port=0, limits=PullLimits(patience=patience)
    ) as store:
        async with client_of(store.url) as client:
            both = Bed(registry=two.registry, store=store, client=client)

            lines = await both.pull(m12(two))

            assert outline(lines) == whole_pull()
            assert fetched_from(two) == [0] * 8
            assert both.stored(DIGEST) == TWELVE


async def test_registry_that_comes_back_goes_on_where_it_was(two: Bed) -> None:
    """While nobody answers, the same line is repeated; then the download goes on."""
    two.registry.faults.add(Fault(cut_after_bytes=5 * MIB, digest=DIGEST, times=1))
    two.registry.faults.add(Fault(status=503, digest=DIGEST, times=4))

    lines = await two.pull(m12(two))

    counts = [line["completed"] for line in lines if line.get("digest") == DIGEST]
    assert counts.count(5 * MIB) >= 2, "0.31 s of the same line"
    assert outline(lines) == whole_pull()
    assert fetched_from(two)[-1] == 5 * MIB
    assert two.stored(DIGEST) == TWELVE


async def test_registry_that_is_gone_ends_the_pull_after_six_tries(tmp_path: Path) -> None:
    """The words are a server's, the bytes are kept, and a later pull goes on with them."""
    async with bed(tmp_path) as both:
        name = both.add("library/m12", model=TWELVE)
        both.registry.faults.add(Fault(cut_after_bytes=5 * MIB, digest=DIGEST, times=1))
        both.registry.faults.add(Fault(status=503, digest=DIGEST))
        port = both.registry.host_port.partition(":")[2]
        lines: list[dict[str, Any]] = []
        async with both.pulling(name) as read:
            async for line in read:
                lines.append(line)
                if line.get("completed") == 5 * MIB:
                    await both.registry.stop()
        url = f"http://localhost:{port}/storage/{DIGEST}"
        (side,) = both.sides(DIGEST)

        both.registry.faults.clear()
        await both.registry.start()
        again = await both.pull(name)

        assert lines[-1]["error"] == (
            f'max retries exceeded: Get "{url}": '
            f"dial tcp 127.0.0.1:{port}: connect: connection refused"
        )
        assert side["Completed"] == 5 * MIB
        assert outline(again) == whole_pull()
        assert both.stored(DIGEST) == TWELVE


def test_patience_is_ollamas() -> None:
    """Unless a test says otherwise: 1 to 32 s after each of six failures, 30 s of silence."""
    limits = PullLimits()

    assert limits.patience == Patience(backoff_seconds=(1, 2, 4, 8, 16, 32), stall_seconds=30)
    assert limits.locate_seconds == 30


async def test_each_failure_waits_twice_as_long(two: Bed) -> None:
    """The times between the tries are those of the schedule."""
    two.registry.faults.add(Fault(status=500, digest=DIGEST))

    lines = await two.pull(m12(two))

    asked = [one.at_seconds for one in two.registry.log if one.path.startswith("/storage")]
    waits = [after - before for before, after in zip(asked, asked[1:], strict=False)]
    assert lines[-1] == {"error": "max retries exceeded: unexpected status code 500"}
    assert len(asked) == 6
    assert all(
        wait >= wanted for wait, wanted in zip(waits, (0.01, 0.02, 0.04, 0.08, 0.16), strict=True)
    )


async def test_wrong_byte_is_found_and_the_blob_removed(two: Bed) -> None:
    """The pull fails with both digests; good layers stay, and the next pull starts at 0."""
    two.registry.faults.add(Fault(corrupt_at_byte=5 * MIB, digest=DIGEST, times=1))
    wrong = bytearray(TWELVE)
    wrong[5 * MIB] ^= 0xFF

    lines = await two.pull(m12(two))
    kept = two.blob_names()
    again = await two.pull(m12(two))

    assert lines[-2:] == [
        {"status": "verifying sha256 digest"},
        {
            "error": "digest mismatch, file must be downloaded again: "
            f"want {DIGEST}, got {digest_of(bytes(wrong))}"
        },
    ]
    assert DIGEST.replace(":", "-") not in kept
    assert digest_of(TEMPLATE).replace(":", "-") in kept
    assert not any("partial" in name for name in kept)
    assert outline(again) == whole_pull()
    assert fetched_from(two) == [0, 0]
    assert two.stored(DIGEST) == TWELVE


async def test_wrong_byte_before_a_reset_does_no_harm(two: Bed) -> None:
    """What is hashed is what lies on disk in the end, also where a range was fetched twice."""
    two.registry.faults.add(
        Fault(corrupt_at_byte=MIB, reset_after_bytes=5 * MIB, digest=DIGEST, times=1)
    )

    lines = await two.pull(m12(two))

    assert outline(lines) == whole_pull()
    assert two.stored(DIGEST) == TWELVE


async def test_storage_that_ignores_ranges_can_be_resumed_from(two: Bed) -> None:
    """What comes before the wanted bytes is skipped."""
    two.registry.faults.throttle_bytes_per_second = 16 * MIB
    await two.pull_until(m12(two), 4 * MIB)
    two.registry.faults.clear()
    two.registry.faults.add(Fault(ignore_range=True))

    lines = await two.pull(m12(two))

    assert outline(lines) == whole_pull()
    assert two.stored(DIGEST) == TWELVE


async def test_registry_without_redirect_is_accepted(two: Bed) -> None:
    """A registry may send its blobs itself."""
    two.registry.faults.add(Fault(place="blobs", no_redirect=True))

    lines = await two.pull(m12(two))

    assert outline(lines) == whole_pull()
    assert two.stored(DIGEST) == TWELVE


async def test_registry_that_wants_a_token_is_given_one(two: Bed) -> None:
    """The token that a registry gives to anybody opens its blobs too."""
    two.registry.faults.token = "anybody"
    two.registry.faults.add(Fault(place="blobs", no_redirect=True))

    lines = await two.pull(m12(two))

    assert outline(lines) == whole_pull()
    assert two.stored(DIGEST) == TWELVE


async def test_missing_layer_leaves_nothing_behind(two: Bed) -> None:
    """A layer that the registry does not have ends the pull before anything is written."""
    (two.registry.folder / "blobs" / DIGEST.replace(":", "-")).unlink()

    lines = await two.pull(m12(two))

    assert lines == [{"status": "pulling manifest"}, {"error": "file does not exist"}]
    assert two.blob_names() == set()


async def test_resume_asks_a_silent_registry_again_for_a_while(two: Bed) -> None:
    """With kept bytes a registry that stumbles is asked where the rest lies until it says."""
    two.registry.faults.throttle_bytes_per_second = 16 * MIB
    await two.pull_until(m12(two), 4 * MIB)
    two.registry.faults.clear()
    two.registry.faults.add(Fault(place="blobs", status=503, times=3))

    lines = await two.pull(m12(two))

    assert outline(lines) == whole_pull()
    assert two.stored(DIGEST) == TWELVE


async def test_resume_gives_a_silent_registry_up(two: Bed) -> None:
    """Not for ever: then the pull fails in the words of a server, the bytes kept."""
    two.registry.faults.throttle_bytes_per_second = 16 * MIB
    await two.pull_until(m12(two), 4 * MIB)
    two.registry.faults.add(Fault(place="blobs", status=503))

    lines = await two.pull(m12(two))

    assert lines[-1] == {"error": "context deadline exceeded"}
    assert two.sides(DIGEST)[0]["Completed"] >= 4 * MIB


# Full disk, slow readers, hostile registries


@pytest.mark.parametrize("disk", [small_disk.mounted, small_disk.double])
async def test_full_disk_says_so_and_keeps_what_fitted(
    tmp_path: Path, disk: Callable[[Path], AbstractContextManager[Path]]
) -> None:
    """The pull ends at once with the path; not even a tiny model fits then; room mends it."""
    with disk(tmp_path / "small") as folder:
        async with bed(tmp_path, store_folder=folder) as both:
            name = both.add("library/m12", model=TWELVE)
            tiny = both.add("library/tiny", model=weights(32_000))

            lines = await both.pull(name)
            again = await both.pull(name)
            small = await both.pull(tiny)

            path = both.files.blob_path(DIGEST)
            (side,) = both.sides(DIGEST)
            full = f"write {path}-partial: no space left on device"
            assert outline(lines) == ["pulling manifest", full]
            assert outline(again) == ["pulling manifest", full]
            assert small[-1]["error"].endswith(": no space left on device")
            assert 5 * MIB < side["Completed"] <= 6 * MIB
            assert both.partial(DIGEST)[: side["Completed"]] == TWELVE[: side["Completed"]]
            assert await both.names() == []
        (tmp_path / "roomy").mkdir()
        for kept in (folder / "blobs").glob(f"{path.name}*"):
            (tmp_path / "roomy" / kept.name).write_bytes(kept.read_bytes())
    blobs = tmp_path / "large" / "blobs"
    blobs.parent.mkdir()
    (tmp_path / "roomy").rename(blobs)
    async with bed(tmp_path, store_folder=blobs.parent) as both:
        name = both.add("library/m12", model=TWELVE)

        lines = await both.pull(name)

        assert outline(lines) == whole_pull()
        assert fetched_from(both) == [side["Completed"]]
        assert both.stored(DIGEST) == TWELVE


async def test_reader_that_stops_reading_stops_the_pull_not_the_layer(two: Bed) -> None:
    """The layer that runs is finished, the next one waits for the reader, no memory grows."""
    name = two.add("library/slow", model=TWELVE, projector=weights(3 * MIB))
    two.registry.faults.throttle_bytes_per_second = 4 * MIB
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
