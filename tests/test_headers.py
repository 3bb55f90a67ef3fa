"""Headers from files, stores and registries: what is asked for, what is kept, what is refused."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from modelwidgets.errors import (
    GgufError,
    InvalidNameError,
    ManifestNotFoundError,
    RegistryRefusedError,
    RegistryUnreachableError,
)
from modelwidgets.gguf import HeaderReader, LongArray, LongText, read_header
from modelwidgets.names import parse
from modelwidgets.stores import registry as registry_module
from modelwidgets.stores.header_cache import HeaderCache
from modelwidgets.stores.headers import Headers, ModelFiles, part_paths
from modelwidgets.stores.ollama_files import StoreFiles
from modelwidgets.stores.registry import RegistryClient
from modelwidgets.stores.sample_registry import Fault, SampleRegistry
from modelwidgets.stores.sample_weights import TensorData, Typed, write_gguf
from modelwidgets.stores.samples import manifest_path

MIB = 1 << 20
KIND = "application/vnd.ollama.image."


def gguf(header_bytes: int = 0, weights_bytes: int = 64, **metadata: Any) -> bytes:
    """A model whose vocabulary makes its header at least so long."""
    words = [b"seven-7"] * (header_bytes // 15)
    tensor = TensorData(
        name="token_embd.weight", type="I8", shape=(weights_bytes,), data=bytes(weights_bytes)
    )
    return write_gguf(
        {
            "general.architecture": "llama",
            "llama.block_count": 2,
            **({"tokenizer.ggml.tokens": Typed("string", words)} if words else {}),
            **metadata,
        },
        [tensor],
    )


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[SampleRegistry]:
    async with SampleRegistry(tmp_path / "registry") as registry:
        yield registry


@pytest.fixture
async def client() -> AsyncIterator[RegistryClient]:
    async with RegistryClient(timeout=2) as client:
        yield client


@pytest.fixture
def headers(client: RegistryClient) -> Headers:
    return Headers(client)


def asked(registry: SampleRegistry) -> list[str]:
    """The kinds of requests in their order, each with the range in MiB where it has one."""
    found = []
    for request in registry.log:
        what = next(
            kind for kind in ("manifests", "blobs", "storage") if f"/{kind}/" in request.path
        )
        start, _, end = (request.range or "").removeprefix("bytes=").partition("-")
        found.append(f"{what} {int(start) / MIB:g}-{(int(end) + 1) / MIB:g}" if start else what)
    return found


def dimensions(files: ModelFiles) -> Any:
    assert files.model is not None
    return files.model.header.metadata["llama.block_count"]


# From a registry


async def test_a_small_header_costs_one_range(registry: SampleRegistry, headers: Headers) -> None:
    """Of 20 MB of weights the first megabyte is fetched, and the rest never asked for."""
    name = registry.add_model("chat:small", {"model": gguf(10_000, 20 * MIB)})

    files = await headers.find(name)

    assert asked(registry) == ["manifests", "blobs 0-1", "storage 0-1"]
    assert registry.sent_bytes() <= MIB
    assert (files.basis, files.reason, dimensions(files)) == ("registry", None, 2)
    assert files.model is not None
    assert files.model.size_bytes > 20 * MIB
    assert files.model.header.tensors[0].size_bytes == 20 * MIB


async def test_a_long_header_is_fetched_in_ranges_that_grow(
    registry: SampleRegistry, headers: Headers
) -> None:
    """After the first redirect the storage is asked itself, for twice as much each time."""
    name = registry.add_model("chat:long", {"model": gguf(5 * MIB, 20 * MIB)})

    files = await headers.find(name)

    assert asked(registry) == [
        "manifests",
        *("blobs 0-1", "storage 0-1", "storage 1-3", "storage 3-7"),
    ]
    assert registry.sent_bytes() <= 7 * MIB
    assert dimensions(files) == 2


async def test_a_registry_that_keeps_its_blobs_itself_and_wants_a_token(
    registry: SampleRegistry, headers: Headers
) -> None:
    """Ranges work without a storage too, and each of them is let in."""
    name = registry.add_model("chat:long", {"model": gguf(2 * MIB)})
    registry.faults.add(Fault(place="blobs", no_redirect=True))
    registry.faults.token = "sesame"

    files = await headers.find(name)

    assert dimensions(files) == 2


async def test_a_server_that_ignores_ranges_is_cut_off_after_the_header(
    registry: SampleRegistry, headers: Headers
) -> None:
    """It sends the whole file in one answer, of which the header is read and the rest refused."""
    name = registry.add_model("chat:long", {"model": gguf(3 * MIB, 60 * MIB)})
    registry.faults.add(Fault(ignore_range=True))
    registry.faults.throttle_bytes_per_second = 60e6

    files = await headers.find(name)

    assert asked(registry) == ["manifests", "blobs 0-1", "storage 0-1"]
    assert registry.sent_bytes() < 30 * MIB  # what lay in the buffers between us included
    assert dimensions(files) == 2


async def test_a_server_that_ignores_later_ranges(
    registry: SampleRegistry, headers: Headers
) -> None:
    """What it sends a second time is read over, not taken for what follows."""
    name = registry.add_model("chat:long", {"model": gguf(3 * MIB, 4 * MIB)})
    registry.faults.add(Fault(times=1))
    registry.faults.add(Fault(ignore_range=True))

    files = await headers.find(name)

    assert asked(registry)[-2:] == ["storage 0-1", "storage 1-3"]
    assert files.model is not None
    assert files.model.header == HeaderReader().feed(gguf(3 * MIB, 4 * MIB))


async def test_dimensions_come_early(registry: SampleRegistry, headers: Headers) -> None:
    """A first verdict need not wait for the vocabulary: it is told what the first range holds."""
    long = registry.add_model("chat:long", {"model": gguf(5 * MIB)})
    short = registry.add_model("chat:short", {"model": gguf(100)})
    told: list[Mapping[str, Any]] = []

    await headers.find(long, early=lambda seen: told.append(dict(seen)))
    await headers.find(short, early=lambda seen: told.append(dict(seen)))

    assert told == [{"general.architecture": "llama", "llama.block_count": 2}]


async def test_every_layer_of_a_model(registry: SampleRegistry, headers: Headers) -> None:
    """Weights, projector, adapter and the options that come with them, each with its size."""
    projector = gguf(weights_bytes=500, **{"general.type": "projector"})
    adapter = gguf(weights_bytes=300, **{"general.type": "adapter"})
    options = {"num_ctx": 8192, "stop": ["<|end|>"]}
    name = registry.add_model(
        "vision:tiny",
        {
            "model": gguf(),
            "projector": projector,
            "adapter": adapter,
            "params": json.dumps(options).encode(),
        },
    )

    files = await headers.find(name)

    (seen,), (adapted,) = files.projectors, files.adapters
    assert (seen.size_bytes, adapted.size_bytes) == (len(projector), len(adapter))
    assert seen.header.metadata["general.type"] == "projector"
    assert adapted.header.metadata["general.type"] == "adapter"
    assert files.parameters == options
    assert files.tensor_bytes == 0


async def test_a_model_of_tensor_layers(registry: SampleRegistry, headers: Headers) -> None:
    """A model in safetensors is the sum of its tensors, and its dimensions stand in config.json."""
    name = registry.add_model(
        "mlx:tiny", {"tensor": bytes(1000), "json": b'{"num_hidden_layers": 3}'}, {}
    )
    path = manifest_path(registry.folder, parse("mlx:tiny"))
    content = json.loads(path.read_bytes())
    tensor, config = content["layers"]
    config["name"] = "config.json"
    other = {**tensor, "digest": f"sha256:{'a' * 64}", "size": 234, "name": "model.norm.weight"}
    content["layers"] = [tensor, other, config]
    path.write_text(json.dumps(content))

    files = await headers.find(name)

    assert files.model is None
    assert files.tensor_bytes == 1234
    assert files.config == {"num_hidden_layers": 3}
    assert asked(registry) == ["manifests", f"blobs 0-{24 / MIB:g}", f"storage 0-{24 / MIB:g}"]


# What cannot be had


async def test_offline_is_an_answer(registry: SampleRegistry, client: RegistryClient) -> None:
    """What was read once is known without a network; of the rest there is the reason."""
    known = registry.add_model("chat:known", {"model": gguf(2 * MIB), "params": b'{"num_gpu": 1}'})
    unknown = registry.add_model("chat:unknown", {"model": gguf()})
    headers = Headers(client)
    online = await headers.find(known)
    await registry.stop()

    offline, nothing = await headers.find(known), await headers.find(unknown)

    assert offline.model == online.model
    assert (offline.basis, nothing.basis) == ("kept", "nothing")
    assert nothing.model is None
    for files in (offline, nothing):
        assert "cannot be reached" in str(files.reason)


async def test_a_header_is_read_once(registry: SampleRegistry, client: RegistryClient) -> None:
    """Whoever asks again, from another process even, asks only whether the name has moved."""
    name = registry.add_model("chat:known", {"model": gguf(2 * MIB)})
    first = await Headers(client).find(name)
    registry.log.clear()

    again = await Headers(client).find(name)

    assert asked(registry) == ["manifests"]
    assert again == first


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<!DOCTYPE html><html>", "it is a web page"),
        (gguf(3 * MIB)[: 2 * MIB], "ends inside its GGUF header"),
        (gguf(3 * MIB)[:MIB], "ends inside its GGUF header"),
        (gguf()[:20], "ends inside its GGUF header"),
        (b"", "ends inside its GGUF header"),
        (gguf(33 * MIB), "longer than 32 MiB"),
    ],
    ids=["page", "cut", "cut at a range", "cut short", "empty", "endless"],
)
async def test_a_file_that_is_no_model_is_refused(
    registry: SampleRegistry, headers: Headers, content: bytes, words: str
) -> None:
    """What is wrong is said, and never more than 32 MiB are fetched to find out."""
    name = registry.add_model("bad:file", {"model": content}, {})

    with pytest.raises(GgufError, match=words):
        await headers.find(name)

    assert registry.sent_bytes() <= 32 * MIB


async def test_a_manifest_of_too_many_files_is_refused(
    registry: SampleRegistry, headers: Headers
) -> None:
    """A manifest cannot make us fetch thousands of headers."""
    name = registry.add_model("bad:many", {"model": gguf()})
    path = manifest_path(registry.folder, parse("bad:many"))
    content = json.loads(path.read_bytes())
    content["layers"] = [
        {**content["layers"][0], "digest": f"sha256:{number:064x}"} for number in range(65)
    ]
    path.write_text(json.dumps(content))

    with pytest.raises(GgufError, match="made of 65 GGUF files"):
        await headers.find(name)

    assert asked(registry) == ["manifests"]


async def test_a_storage_that_falls_silent_is_not_waited_for(registry: SampleRegistry) -> None:
    """The answer is that it does not answer."""
    name = registry.add_model("chat:long", {"model": gguf(2 * MIB)})
    registry.faults.add(Fault(stall_after_bytes=100_000))

    async with RegistryClient(timeout=0.3) as client:
        files = await Headers(client).find(name)
    registry.faults.clear()

    assert files.model is None
    assert "no answer within 0.3 s" in str(files.reason)


async def test_a_storage_that_drips_is_not_waited_for_for_ever(
    registry: SampleRegistry, client: RegistryClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes that keep coming, but far too slowly, end too."""
    monkeypatch.setattr(registry_module, "_LONGEST_READING_SECONDS", 0.4)
    name = registry.add_model("chat:long", {"model": gguf(2 * MIB)})
    registry.faults.throttle_bytes_per_second = 10_000

    files = await Headers(client).find(name)

    assert "sends too slowly" in str(files.reason)


async def test_a_slow_storage_may_take_longer_than_one_answer(registry: SampleRegistry) -> None:
    """The patience of a client is for each silence: a slow line still gives a header."""
    name = registry.add_model("chat:long", {"model": gguf(600_000)})
    registry.faults.throttle_bytes_per_second = 600_000

    async with RegistryClient(timeout=0.5) as client:
        files = await Headers(client).find(name)

    assert dimensions(files) == 2


async def test_a_name_that_leads_nowhere(registry: SampleRegistry, headers: Headers) -> None:
    """A name that is none, is unknown or private is an error: asking again will not help."""
    with pytest.raises(InvalidNameError):
        await headers.find("no name at all")
    with pytest.raises(ManifestNotFoundError):
        await headers.find(f"{registry.host_port}/some/thing:else")
    registry.faults.add(Fault(place="manifests", status=401))
    with pytest.raises(RegistryRefusedError):
        await headers.find(f"{registry.host_port}/some/thing:else")


async def test_a_broken_registry_is_an_answer_too(
    registry: SampleRegistry, headers: Headers
) -> None:
    """An error of the server leaves the question open and says so."""
    name = registry.add_model("chat:known", {"model": gguf()})
    registry.faults.add(Fault(status=503))

    files = await headers.find(name)

    assert files.basis == "nothing"
    assert "503" in str(files.reason)


async def test_without_asking_there_is_what_is_known_here(
    registry: SampleRegistry, client: RegistryClient
) -> None:
    """A table of hundreds of names can be filled without one request."""
    known = registry.add_model("chat:known", {"model": gguf(), "params": b'{"num_ctx": 5}'})
    unknown = registry.add_model("chat:unknown", {"model": gguf()})
    online = await Headers(client).find(known)
    registry.log.clear()

    files = [await Headers(client).find(name, ask=False) for name in (known, unknown)]

    assert asked(registry) == []
    assert (files[0].basis, files[0].model, files[0].reason) == ("kept", online.model, None)
    assert files[0].parameters == {"num_ctx": 5}
    assert (files[1].basis, files[1].model) == ("nothing", None)
    assert "was not asked" in str(files[1].reason)


async def test_a_registry_that_cannot_be_reached_is_left_alone_for_a_while(
    registry: SampleRegistry, client: RegistryClient
) -> None:
    """Hundreds of names cost one wait for a network that is not there, and later it is tried."""
    name = registry.add_model("chat:known", {"model": gguf()})
    now = [100.0]
    headers = Headers(client, clock=lambda: now[0])
    await registry.stop()
    first = await headers.find(name)
    await registry.start()

    soon = await headers.find(name)
    at_once = asked(registry)
    now[0] += 31
    later = await headers.find(name)

    assert (first.basis, soon.basis, later.basis) == ("nothing", "nothing", "registry")
    assert at_once == []


# From a store


@pytest.fixture
def store(registry: SampleRegistry, tmp_path: Path) -> StoreFiles:
    """A store that has `chat:here` of the registry, named as there."""
    name = registry.add_model(
        "chat:here", {"model": gguf(2 * MIB), "params": b'{"num_ctx": 77}'}, {}
    )
    store = StoreFiles(tmp_path / "store")
    shutil.copytree(registry.folder / "blobs", store.blobs)
    path = store.manifest_path(parse(name))
    path.parent.mkdir(parents=True)
    path.write_bytes(manifest_path(registry.folder, parse("chat:here")).read_bytes())
    return store


async def test_an_installed_model_asks_nobody(
    registry: SampleRegistry, client: RegistryClient, store: StoreFiles
) -> None:
    """The store on this disk answers, in any spelling of the name."""
    headers = Headers(client, stores=[store])

    files = await headers.find(f"{registry.host_port}/library/CHAT:here")

    assert (files.basis, dimensions(files)) == ("installed", 2)
    assert files.parameters == {"num_ctx": 77}
    assert asked(registry) == []


async def test_a_store_that_lost_a_file_is_passed_over(
    registry: SampleRegistry, client: RegistryClient, store: StoreFiles
) -> None:
    """Where a blob or the manifest is damaged, the registry answers."""
    name = f"{registry.host_port}/library/chat:here"
    headers = Headers(client, stores=[StoreFiles(store.folder / "none"), store])
    for blob in store.blobs.iterdir():
        blob.unlink()

    without_blobs = await headers.find(name)
    store.manifest_path(parse(name)).write_text("damaged")
    without_manifest = await headers.find(name)

    assert (without_blobs.basis, without_manifest.basis) == ("registry", "registry")


# From a file


async def test_a_file_is_read_where_it_lies(headers: Headers, tmp_path: Path) -> None:
    """A path, as text or as such, needs no name and no store."""
    path = tmp_path / "model.gguf"
    path.write_bytes(gguf(10_000))

    files = [await headers.find(path), await headers.find(str(path))]

    for found in files:
        assert (found.basis, dimensions(found)) == ("file", 2)
        assert found.total_bytes == path.stat().st_size


async def test_a_file_in_the_current_folder(
    headers: Headers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`model.gguf` is the file where there is one, and a model's name where there is none."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.gguf").write_bytes(gguf())

    here = await headers.find("model.gguf")
    with pytest.raises(FileNotFoundError):
        await headers.find("./other.gguf")

    assert here.basis == "file"


def split(folder: Path, count: int = 3, announced: int | None = None) -> list[Path]:
    paths = [folder / f"big-{n:05}-of-{count:05}.gguf" for n in range(1, count + 1)]
    for number, path in enumerate(paths):
        tensor = TensorData(name=f"blk.{number}.weight", type="I8", shape=(32,), data=bytes(32))
        keys = {"general.architecture": "llama", "llama.block_count": 3} if number == 0 else {}
        path.write_bytes(
            write_gguf({**keys, "split.no": number, "split.count": announced or count}, [tensor])
        )
    return paths


@pytest.mark.parametrize("given", [0, 1, 2])
async def test_a_split_file_is_one_model(headers: Headers, tmp_path: Path, given: int) -> None:
    """Whichever part is named, the keys are the first one's and the tensors those of all."""
    paths = split(tmp_path)

    files = await headers.find(paths[given])

    assert files.model is not None
    assert files.model.size_bytes == sum(path.stat().st_size for path in paths)
    assert [tensor.name for tensor in files.model.header.tensors] == [
        f"blk.{number}.weight" for number in range(3)
    ]
    assert dimensions(files) == 3


async def test_a_split_file_of_which_something_is_missing(headers: Headers, tmp_path: Path) -> None:
    """A part that is not there, or stands alone under another name, is told."""
    first, second, _ = split(tmp_path)
    second.unlink()
    alone = first.rename(tmp_path / "alone.gguf")

    with pytest.raises(FileNotFoundError, match="00001-of-00003"):
        await headers.find(first)
    with pytest.raises(GgufError, match="one of 3 files that belong together, and 1 are here"):
        await headers.find(alone)


async def test_parts_that_do_not_belong_together(headers: Headers, tmp_path: Path) -> None:
    """Parts of another count, or with the same tensor twice, make no model."""
    (tmp_path / "a").mkdir()
    wrong = split(tmp_path / "a", count=2, announced=5)
    twice = split(tmp_path, count=2)
    twice[1].write_bytes(twice[0].read_bytes())

    with pytest.raises(GgufError, match="one of 5 files that belong together, and 2 are here"):
        await headers.find(wrong[0])
    with pytest.raises(GgufError, match="stands in two of the files"):
        await headers.find(twice[0])


@pytest.mark.parametrize("name", ["x-00000-of-00003.gguf", "x-00004-of-00003.gguf"])
def test_a_part_that_cannot_be(name: str) -> None:
    """A number outside of its count names no file."""
    with pytest.raises(GgufError, match="no possible part"):
        part_paths(Path(name))


# What is kept

DIGEST = f"sha256:{'d' * 64}"


def test_what_is_kept_is_what_was_read(tmp_path: Path) -> None:
    """Every kind of value survives, and what was left out is still known to have been."""
    words = [f"word{number}" for number in range(2000)]
    data = gguf(tokens=words, text="x" * (MIB + 1), no=float("nan"), flags=[True, False], big=2**63)
    header = HeaderReader().feed(data)
    assert header is not None
    cache = HeaderCache(tmp_path / "cache")

    cache.keep_header(DIGEST, header)
    kept = cache.header(DIGEST)

    assert kept is not None
    assert repr(kept) == repr(header)
    assert kept.metadata["tokens"] == LongArray(type="string", length=2000)
    assert kept.metadata["text"] == LongText(size_bytes=MIB + 1)


def test_a_damaged_copy_is_not_used(tmp_path: Path) -> None:
    """Cut, empty, foreign or swapped copies are as good as none."""
    header = HeaderReader().feed(gguf())
    assert header is not None
    cache = HeaderCache(tmp_path / "cache")
    cache.keep_header(DIGEST, header)
    (path,) = cache.folder.iterdir()
    whole = path.read_bytes()
    other = f"sha256:{'e' * 64}"

    for damaged in (whole[:-9], b"", b"{}", hashlib.sha256(b"").digest() * 9):
        path.write_bytes(damaged)
        assert cache.header(DIGEST) is None
    path.write_bytes(whole)
    path.rename(path.with_stem("e" * 64))

    assert cache.header(other) is None
    assert cache.header(DIGEST) is None
    with pytest.raises(ValueError, match="is no digest"):
        cache.header("sha256:../../etc")


def test_the_folder_stays_small(tmp_path: Path) -> None:
    """What was not used for longest goes first; what was read today stays."""
    cache = HeaderCache(tmp_path / "cache", most_bytes=20_000)
    digests = [f"sha256:{number:064x}" for number in range(40)]
    for number, digest in enumerate(digests):
        header = HeaderReader().feed(gguf(noise=os.urandom(1000).hex()))
        assert header is not None
        cache.keep_header(digest, header)
        os.utime(cache.folder / f"{digest[7:]}.header", (number, number))
        cache.header(digests[0])

    kept = [digest for digest in digests if cache.header(digest)]

    assert sum(path.stat().st_size for path in cache.folder.iterdir()) <= 20_000
    assert kept[0] == digests[0]
    assert kept[1:] == digests[-len(kept) + 1 :]
    assert len(kept) > 5


def test_a_folder_that_cannot_be_written_costs_only_time(tmp_path: Path) -> None:
    """Where nothing can be kept, nothing is."""
    (tmp_path / "file").write_text("in the way")
    header = HeaderReader().feed(gguf())
    assert header is not None
    cache = HeaderCache(tmp_path / "file")

    cache.keep_header(DIGEST, header)

    assert cache.header(DIGEST) is None


def _keep_many(folder: str, path: str) -> None:
    cache, header = HeaderCache(Path(folder), most_bytes=3_000), read_header(Path(path))
    for number in range(24):
        digest = f"sha256:{number % 12:064x}"
        cache.keep_header(digest, header)
        kept = cache.header(digest)
        assert kept in (None, header)


def test_several_processes_share_the_folder(tmp_path: Path) -> None:
    """Writers that replace and remove each other's copies see whole ones or none."""
    path = tmp_path / "model.gguf"
    path.write_bytes(gguf())
    context = multiprocessing.get_context("spawn")
    folder = tmp_path / "cache"
    processes = [
        context.Process(target=_keep_many, args=(str(folder), str(path))) for _ in range(2)
    ]

    for process in processes:
        process.start()
    for process in processes:
        process.join(60)

    assert [process.exitcode for process in processes] == [0, 0]
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 3_000


async def test_reading_on_after_the_storage_has_gone(registry: SampleRegistry) -> None:
    """A connection that breaks between ranges is an error of the registry, not a short file."""
    name = registry.add_model("chat:long", {"model": gguf(3 * MIB)})
    registry.faults.add(Fault(times=1))
    registry.faults.add(Fault(cut_after_bytes=10))
    layer = json.loads(manifest_path(registry.folder, parse("chat:long")).read_bytes())["layers"][0]

    async with RegistryClient(timeout=2) as client:
        with pytest.raises(RegistryUnreachableError):
            await client.read_until(
                name, layer["digest"], lambda _piece: False, at_most=32 * MIB, insecure=True
            )
