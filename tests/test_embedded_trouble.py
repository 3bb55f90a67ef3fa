"""Pulls of the embedded store when registries, disks and bytes are not what they should be."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modelwidgets.stores import advice, embedded_registry
from modelwidgets.stores.embedded import EmbeddedStore
from modelwidgets.stores.embedded_pull import PullLimits
from modelwidgets.stores.sample_registry import Fault
from modelwidgets.stores.transfer import Patience
from tests import small_disk
from tests.store_bed import (
    MIB,
    QUICK,
    Bed,
    bed,
    client_of,
    digest_of,
    outline,
    weights,
    whole_pull,
)

MODEL = weights(6 * MIB)
DIGEST = digest_of(MODEL)
LARGE = weights(9 * MIB)
LARGE_DIGEST = digest_of(LARGE)
TEMPLATE = b"{{ .Prompt }}"


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Bed]:
    """A store, and a registry that serves a model of 6 MB."""
    async with bed(tmp_path) as both:
        both.add("library/m6", model=MODEL, template=TEMPLATE)
        yield both


def m6(both: Bed) -> str:
    return f"{both.registry.host_port}/library/m6"


# Trouble on the way


async def test_a_store_of_samples_says_that_it_has_no_more(tmp_path: Path) -> None:
    """Where samples stand in, a pull of anything else says so beside why there is no way."""
    async with (
        bed(tmp_path) as both,
        EmbeddedStore(tmp_path / "other", port=0, sample_registry=both.registry.host_port) as store,
        client_of(store.url) as client,
    ):
        answer = await client.post(
            "/api/pull", json={"model": "127.0.0.1:9/library/m", "insecure": True, "stream": False}
        )

    said = answer.json()["error"]
    assert "connection refused" in said
    assert said.endswith(f" (only the samples of {both.registry.host_port} are served here)")
    assert "search the catalog for `samples`" in advice.next_step(said)


async def test_clean_end_of_a_connection_keeps_its_bytes(two: Bed) -> None:
    """A storage that closes early is asked for the rest alone."""
    two.registry.faults.add(Fault(cut_after_bytes=3 * MIB, digest=DIGEST, times=1))

    lines = await two.pull(m6(two))

    assert two.starts(DIGEST) == [0, 3 * MIB]
    assert outline(lines) == whole_pull()
    assert two.stored(DIGEST) == MODEL


async def test_reset_drops_what_came_over_that_connection(two: Bed) -> None:
    """As with a real server the counter falls back, and the range is fetched again from there."""
    two.registry.faults.throttle_bytes_per_second = 24 * MIB
    two.registry.faults.add(Fault(reset_after_bytes=3 * MIB, digest=DIGEST, times=1))

    lines = await two.pull(m6(two))

    counts = [line.get("completed", 0) for line in lines if line.get("digest") == DIGEST]
    assert two.starts(DIGEST) == [0, 0]
    assert counts != sorted(counts)
    assert two.stored(DIGEST) == MODEL


async def test_silence_is_given_up_and_asked_again_without_limit(two: Bed) -> None:
    """Each silent connection is dropped after its time, more often than errors would be borne."""
    two.registry.faults.add(Fault(stall_after_bytes=3 * MIB, digest=DIGEST, times=7))
    patience = replace(QUICK.patience, stall_seconds=0.2)
    async with (
        EmbeddedStore(
            two.store.folder.parent / "other", port=0, limits=PullLimits(patience=patience)
        ) as store,
        client_of(store.url) as client,
    ):
        both = Bed(registry=two.registry, store=store, client=client)

        lines = await both.pull(m6(two))

        assert outline(lines) == whole_pull()
        assert two.starts(DIGEST) == [0] * 8
        assert both.stored(DIGEST) == MODEL


async def test_registry_that_comes_back_goes_on_where_it_was(two: Bed) -> None:
    """While nobody answers, the same line is repeated; then the download goes on."""
    two.registry.faults.add(Fault(cut_after_bytes=3 * MIB, digest=DIGEST, times=1))
    two.registry.faults.add(Fault(status=503, digest=DIGEST, times=4))

    lines = await two.pull(m6(two))

    counts = [line.get("completed", 0) for line in lines if line.get("digest") == DIGEST]
    assert counts.count(3 * MIB) >= 2, "0.31 s of the same line"
    assert outline(lines) == whole_pull()
    assert two.starts(DIGEST)[-1] == 3 * MIB
    assert two.stored(DIGEST) == MODEL


async def test_registry_that_is_gone_ends_the_pull_after_six_tries(tmp_path: Path) -> None:
    """The words are a server's, the bytes are kept, and a later pull goes on with them."""
    async with bed(tmp_path) as both:
        name = both.add("library/m6", model=MODEL)
        both.registry.faults.add(Fault(cut_after_bytes=3 * MIB, digest=DIGEST, times=1))
        both.registry.faults.add(Fault(status=503, digest=DIGEST))
        port = both.registry.host_port.partition(":")[2]
        lines: list[dict[str, Any]] = []
        async with both.pulling(name) as read:
            async for line in read:
                lines.append(line)
                if line.get("completed") == 3 * MIB:
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
        assert side["Completed"] == 3 * MIB
        assert outline(again) == whole_pull()
        assert both.stored(DIGEST) == MODEL


def test_patience_is_ollamas() -> None:
    """Unless a test says otherwise: 1 to 32 s after each of six failures, 30 s of silence."""
    limits = PullLimits()

    assert limits.patience == Patience(backoff_seconds=(1, 2, 4, 8, 16, 32), stall_seconds=30)
    assert limits.locate_seconds == 30


async def test_each_failure_waits_twice_as_long(two: Bed) -> None:
    """The times between the tries are those of the schedule."""
    two.registry.faults.add(Fault(status=500, digest=DIGEST))

    lines = await two.pull(m6(two))

    asked = [one.at_seconds for one in two.registry.log if one.path.startswith("/storage")]
    waits = [after - before for before, after in itertools.pairwise(asked)]
    assert lines[-1] == {"error": "max retries exceeded: unexpected status code 500"}
    assert len(asked) == 6
    assert all(
        wait >= wanted for wait, wanted in zip(waits, (0.01, 0.02, 0.04, 0.08, 0.16), strict=True)
    )


async def test_wrong_byte_is_found_and_the_blob_removed(two: Bed) -> None:
    """The pull fails with both digests; good layers stay, and the next pull starts at 0."""
    two.registry.faults.add(Fault(corrupt_at_byte=3 * MIB, digest=DIGEST, times=1))
    wrong = bytearray(MODEL)
    wrong[3 * MIB] ^= 0xFF

    lines = await two.pull(m6(two))
    kept = two.blob_names()
    again = await two.pull(m6(two))

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
    assert two.starts(DIGEST) == [0, 0]
    assert two.stored(DIGEST) == MODEL


async def test_wrong_byte_before_a_reset_does_no_harm(two: Bed) -> None:
    """What is hashed is what lies on disk in the end, also where a range was fetched twice."""
    two.registry.faults.add(
        Fault(corrupt_at_byte=MIB, reset_after_bytes=3 * MIB, digest=DIGEST, times=1)
    )

    lines = await two.pull(m6(two))

    assert outline(lines) == whole_pull()
    assert two.stored(DIGEST) == MODEL


async def test_storage_that_ignores_ranges_can_be_resumed_from(two: Bed) -> None:
    """What comes before the wanted bytes is skipped."""
    two.registry.faults.throttle_bytes_per_second = 16 * MIB
    await two.pull_until(m6(two), 2 * MIB)
    two.registry.faults.clear()
    two.registry.faults.add(Fault(ignore_range=True))

    lines = await two.pull(m6(two))

    assert outline(lines) == whole_pull()
    assert two.stored(DIGEST) == MODEL


async def test_registry_without_redirect_is_accepted(two: Bed) -> None:
    """A registry may send its blobs itself."""
    two.registry.faults.add(Fault(place="blobs", no_redirect=True))

    lines = await two.pull(m6(two))

    assert outline(lines) == whole_pull()
    assert two.stored(DIGEST) == MODEL


async def test_registry_that_wants_a_token_is_given_one(two: Bed) -> None:
    """The token that a registry gives to anybody opens its blobs too."""
    two.registry.faults.token = "anybody"
    two.registry.faults.add(Fault(place="blobs", no_redirect=True))

    lines = await two.pull(m6(two))

    assert outline(lines) == whole_pull()
    assert two.stored(DIGEST) == MODEL


async def test_missing_layer_leaves_nothing_behind(two: Bed) -> None:
    """A layer that the registry does not have ends the pull before anything is written."""
    (two.registry.folder / "blobs" / DIGEST.replace(":", "-")).unlink()

    lines = await two.pull(m6(two))

    assert lines == [{"status": "pulling manifest"}, {"error": "file does not exist"}]
    assert two.blob_names() == set()


async def test_resume_asks_a_silent_registry_again_for_a_while(two: Bed) -> None:
    """With kept bytes a registry that stumbles is asked where the rest lies until it says."""
    two.registry.faults.throttle_bytes_per_second = 16 * MIB
    await two.pull_until(m6(two), 2 * MIB)
    two.registry.faults.clear()
    two.registry.faults.add(Fault(place="blobs", status=503, times=3))

    lines = await two.pull(m6(two))

    assert outline(lines) == whole_pull()
    assert two.stored(DIGEST) == MODEL


async def test_resume_gives_a_silent_registry_up(two: Bed) -> None:
    """Not for ever: then the pull fails in the words of a server, the bytes kept."""
    two.registry.faults.throttle_bytes_per_second = 16 * MIB
    await two.pull_until(m6(two), 2 * MIB)
    two.registry.faults.add(Fault(place="blobs", status=503))

    lines = await two.pull(m6(two))

    assert lines[-1] == {"error": "context deadline exceeded"}
    assert two.sides(DIGEST)[0]["Completed"] >= 2 * MIB


# Full disks and hostile registries


@pytest.mark.parametrize("disk", [small_disk.mounted, small_disk.double])
async def test_full_disk_says_so_and_keeps_what_fitted(
    tmp_path: Path, disk: Callable[[Path], AbstractContextManager[Path]]
) -> None:
    """The pull ends at once with the path; not even a tiny model fits then; room mends it."""
    with disk(tmp_path / "small") as folder:
        async with bed(tmp_path, store_folder=folder) as both:
            name = both.add("library/m9", model=LARGE)
            tiny = both.add("library/tiny", model=weights(32_000))

            lines = await both.pull(name)
            again = await both.pull(name)
            small = await both.pull(tiny)

            path = both.files.blob_path(LARGE_DIGEST)
            (side,) = both.sides(LARGE_DIGEST)
            full = f"write {path}-partial: no space left on device"
            assert outline(lines) == ["pulling manifest", full]
            assert outline(again) == ["pulling manifest", full]
            assert small[-1]["error"].endswith(": no space left on device")
            assert 5 * MIB < side["Completed"] <= 6 * MIB
            assert both.partial(LARGE_DIGEST)[: side["Completed"]] == LARGE[: side["Completed"]]
            assert await both.names() == []
        (tmp_path / "roomy").mkdir()
        for kept in (folder / "blobs").glob(f"{path.name}*"):
            (tmp_path / "roomy" / kept.name).write_bytes(kept.read_bytes())
    blobs = tmp_path / "large" / "blobs"
    blobs.parent.mkdir()
    (tmp_path / "roomy").rename(blobs)
    async with bed(tmp_path, store_folder=blobs.parent) as both:
        name = both.add("library/m9", model=LARGE)

        lines = await both.pull(name)

        assert outline(lines) == whole_pull()
        assert both.starts(LARGE_DIGEST) == [side["Completed"]]
        assert both.stored(LARGE_DIGEST) == LARGE


async def serve(both: Bed, change: Callable[[dict[str, Any]], None]) -> str:
    """The model under another name with a manifest that was tampered with."""
    path = both.registry.folder / "manifests/library/m6/latest"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.with_name("bad").write_text(json.dumps(manifest))
    return f"{m6(both)}:bad"


@pytest.mark.parametrize(
    "digest",
    ["sha256:../../../../etc/passwd", "../x", "sha256:" + "A" * 64, "md5:" + "0" * 32, "", 5],
)
async def test_digest_that_is_none_is_refused(two: Bed, digest: Any) -> None:
    """A path in the place of a digest leads nowhere."""
    name = await serve(two, lambda manifest: manifest["layers"][0].update(digest=digest))

    lines = await two.pull(name)

    assert "is no digest" in lines[-1]["error"]
    assert two.blob_names() == set()


@pytest.mark.parametrize("size", [-1, 1 << 60, "1", None])
async def test_size_that_is_none_is_refused(two: Bed, size: Any) -> None:
    """No file of an impossible size is begun."""
    name = await serve(two, lambda manifest: manifest["layers"][0].update(size=size))

    lines = await two.pull(name)

    assert "cannot be used" in lines[-1]["error"]
    assert two.blob_names() == set()


@pytest.mark.parametrize("size", [len(MODEL) - 1, len(MODEL) + 1, 1, 0])
async def test_blob_of_another_size_than_announced_is_refused(two: Bed, size: int) -> None:
    """Neither more nor less is taken than the manifest says."""
    name = await serve(two, lambda manifest: manifest["layers"][0].update(size=size))

    lines = await two.pull(name)

    error = lines[-1]["error"]
    assert "another size" in error or (size == 0 and "digest mismatch" in error)
    assert not two.files.has_blob(DIGEST)


async def test_bytes_past_the_range_are_not_taken(
    two: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A storage that says the right length and sends more is read to the right length."""

    async def generous(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        end = len(MODEL) - 1
        head = f"HTTP/1.1 206 x\r\nContent-Range: bytes 0-{end}/{end + 1}\r\n"
        writer.write(f"{head}Content-Length: {end + 1}\r\n\r\n".encode() + MODEL + b"more" * MIB)
        writer.close()

    server = await asyncio.start_server(generous, "127.0.0.1", 0)
    async with server:
        storage = f"http://localhost:{server.sockets[0].getsockname()[1]}/blob"
        usual = embedded_registry._Listening.blob_location

        async def elsewhere(
            self: Any, name: Any, digest: str, **how: Any
        ) -> tuple[str, dict[str, str]]:
            return (storage, {}) if digest == DIGEST else await usual(self, name, digest, **how)

        monkeypatch.setattr(embedded_registry._Listening, "blob_location", elsewhere)
        lines = await two.pull(m6(two))

    assert outline(lines) == whole_pull()
    assert two.stored(DIGEST) == MODEL


async def test_huge_manifest_is_refused(two: Bed) -> None:
    """A manifest is read up to a limit and no further."""
    name = await serve(two, lambda manifest: manifest.update(noise="x" * (5 * MIB)))

    lines = await two.pull(name)

    assert "error" in lines[-1]
    assert two.blob_names() == set()


async def test_damaged_side_files_only_cost_the_download(two: Bed) -> None:
    """What an unfinished download left behind is not believed when it contradicts itself."""
    blobs = two.store.folder / "blobs"
    path = two.files.blob_path(DIGEST)
    (blobs / f"{path.name}-partial").write_bytes(b"x" * len(MODEL))
    said = {"N": 0, "Offset": 0, "Size": len(MODEL), "Completed": len(MODEL) + 1}
    (blobs / f"{path.name}-partial-0").write_text(json.dumps(said))

    lines = await two.pull(m6(two))

    assert outline(lines) == whole_pull()
    assert two.stored(DIGEST) == MODEL


async def test_short_blob_is_fetched_again(two: Bed) -> None:
    """A blob that a power cut shortened does not count as there."""
    await two.pull(m6(two))
    two.files.blob_path(DIGEST).write_bytes(MODEL[:MIB])

    lines = await two.pull(m6(two))

    assert outline(lines) == whole_pull()
    assert two.stored(DIGEST) == MODEL


async def test_registry_that_accepts_and_never_encrypts_is_given_up(
    two: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A manifest is waited for without end, a connection is not."""
    monkeypatch.setattr(embedded_registry, "CONNECT_SECONDS", 0.3)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        host = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"

        lines = await two.pull(f"{host}/library/x", insecure=False)

    url = f"https://{host}/v2/library/x/manifests/latest"
    assert lines[-1]["error"] == f'pull model manifest: Get "{url}": dial tcp {host}: i/o timeout'
