"""The embedded store held against recordings of a real server, answer by answer.

What a recorded server was asked is asked again, and every answer must be the same but for those
that `differences.yaml` names. Models of the recorded shape are made where an answer depends on
them; of a download, which depends on time, the outline is compared, and whether it was resumed.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from modelwidgets.stores import embedded
from modelwidgets.stores.embedded import EmbeddedStore
from modelwidgets.stores.sample_registry import Fault
from modelwidgets.stores.samples import write_model
from tests import small_disk
from tests.recorded_models import install
from tests.recordings import exchange, exchanges, files
from tests.store_bed import (
    MIB,
    QUICK,
    Bed,
    bed,
    client_of,
    digest_of,
    lines_of,
    start_process,
    weights,
)

DIFFERENCES = Path(embedded.__file__).with_name("differences.yaml")
CLOSED_PROXY = "http://127.0.0.1:9"
"""Stands for "no network", as in the recordings."""
HEADERS: dict[tuple[str, int], dict[str, str]] = {
    ("wrong-method-or-path", 7): {"Origin": "http://localhost:8888"},
    ("wrong-method-or-path", 8): {"Origin": "http://evil.example"},
    ("wrong-method-or-path", 9): {"Origin": "http://localhost:8888"},
    ("wrong-method-or-path", 10): {"Host": "evil.example"},
    ("no-content-type", 1): {"Content-Type": "text/plain"},
}
"""What was sent with these requests besides what is recorded."""
BUSY = b'{"errors": [{"code": "UNAVAILABLE", "message": "try later"}]}'
LARGE = weights(9 * MIB)
DIGEST = digest_of(LARGE)
FRAMING = frozenset({"Content-Length", "Transfer-Encoding", "Date"})


class Held:
    """Asks what was recorded, and keeps where the answers differ."""

    def __init__(self, file: str, both: Bed) -> None:
        self.file = file
        self.both = both
        self.recorded = exchanges(file)
        self.differ: set[int] = set()
        self.resumption = True
        """Whether it matters that a download began in the middle."""
        self.replacements = {
            "127.0.0.1:25000": both.registry.host_port,
            "127.0.0.1:25100": both.registry.host_port,
            "localhost:25000": both.registry.host_port.replace("127.0.0.1", "localhost"),
            "$OLLAMA_MODELS": str(both.store.folder),
        }

    def ours(self, text: str) -> str:
        """A recorded text as it would be here."""
        for recorded, replacement in self.replacements.items():
            text = text.replace(recorded, replacement)
        return text

    async def ask(
        self, number: int, meanwhile: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """Ask one thing again; `meanwhile` runs once a third of a large layer has come."""
        one = self.recorded[number]
        asked = None if one.asked is None else self.ours(one.asked).encode()
        if asked is not None:
            asked = asked.replace("\N{REPLACEMENT CHARACTER}".encode(), b"\xff")
        headers = HEADERS.get((self.file, number), {})
        lines: list[str] = []
        path = self.ours(one.path)
        stream = self.both.client.stream(one.method, path, content=asked, headers=headers)
        async with stream as response:
            try:
                async with aclosing(lines_of(response)) as coming:
                    async for line in coming:
                        lines.append(line)
                        if share(line) > 1 / 3 and one.left_by_client:
                            break
                        if share(line) > 1 / 3 and meanwhile is not None:
                            await meanwhile()
                            meanwhile = None
            except httpx.RemoteProtocolError:
                pass  # the server ended in the middle, as recorded
        self.compare(number, response, lines)

    def compare(self, number: int, response: httpx.Response, lines: list[str]) -> None:
        one = self.recorded[number]
        recorded = [self.ours(text) for text in one.texts]
        if one.left_by_client:  # of these the recording begins later now and then
            recorded, lines = ([x for x in y if "completed" in x] for y in (recorded, lines))
        same = (
            one.status == response.status_code
            and all(
                self.ours(value) in response.headers.get(name, "").replace(", ", "\n").split("\n")
                or self.ours(value) == response.headers.get(name)
                for name, value in one.headers.items()
                if name not in FRAMING
            )
            and comparable(recorded, self.resumption) == comparable(lines, self.resumption)
        )
        if not same:
            here = (response.status_code, dict(response.headers), lines)
            assert self.may_differ(number), (
                f"{one.method} {one.path} {one.asked}\n"
                f"recorded: {one.status, one.headers, recorded}\nhere:     {here}"
            )
            self.differ.add(number)

    def may_differ(self, number: int) -> bool:
        return any(number in numbers for numbers in self.listed().values())

    def listed(self) -> dict[str, set[int]]:
        """The exchanges that each entry for this recording names."""
        found = {}
        for where in allowed():
            file, _, which = where.partition("/")
            if file == self.file:
                found[where] = {
                    number
                    for number, one in enumerate(self.recorded)
                    if which in ("", str(number), one.tag)
                }
        return found


def allowed() -> list[str]:
    """Where answers may differ: a recording, or one exchange of it by number or tag."""
    entries = yaml.safe_load(DIFFERENCES.read_text(encoding="utf-8"))
    return [where for entry in entries for where in entry.get("recorded", ())]


def share(line: str) -> float:
    """How much of a large layer a line says is there."""
    if '"digest":"sha256:' not in line:
        return 0.0
    said = json.loads(line)
    return said.get("completed", 0) / said["total"] if said.get("total", 0) > MIB else 0.0


def comparable(lines: list[str], resumption: bool) -> list[Any]:
    """What must be the same: all but the progress of downloads, dates of now and free orders."""
    first = next((one for line in lines if (one := share(line))), 0.0)
    resumed = ["resumed"] if resumption and first > 0.22 else []
    return resumed + [free(line) for line in lines if '"digest":"sha256:' not in line and line]


def free(line: str) -> Any:
    line = re.sub(r'"created_at":"[^"]*"', '"created_at":"now"', line)
    if line.startswith('{"models":[{'):
        rows = json.loads(line)["models"]
        return sorted(({**row, "digest": len(row["digest"])} for row in rows), key=by_name)
    if line.startswith('{"object":"list","data":[{'):
        return sorted(json.loads(line)["data"], key=lambda row: str(row["id"]))
    if '"modelfile":"' in line:
        shown = json.loads(line)
        shown["modelfile"] = sorted(
            re.sub("[0-9a-f]{64}", "DIGEST", shown["modelfile"]).split("\n")
        )
        return {**shown, "parameters": sorted(shown.get("parameters", "").split("\n"))}
    return line


def by_name(row: dict[str, Any]) -> str:
    return str(row["name"])


# What is made before and while the questions are asked; the rest is asked of an empty store


async def ask_all(held: Held) -> None:
    for number in range(len(held.recorded)):
        await held.ask(number)


async def with_faults(held: Held, *faults: Fault) -> None:
    for fault in faults:
        held.both.registry.faults.add(fault)
    await ask_all(held)


async def refused_401(held: Held) -> None:
    await with_faults(held, Fault(place="manifests", status=401, body=b""))


async def busy_429(held: Held) -> None:
    await with_faults(held, Fault(place="manifests", status=429, body=BUSY))


async def busy_503(held: Held) -> None:
    await with_faults(held, Fault(place="manifests", status=503, body=BUSY))


async def no_redirect(held: Held) -> None:
    await with_faults(held, Fault(place="blobs", no_redirect=True))


async def layer_missing(held: Held) -> None:
    (held.both.registry.folder / "blobs" / DIGEST.replace(":", "-")).unlink()
    await ask_all(held)


async def everything_there(held: Held) -> None:
    await held.both.pull(f"{held.both.registry.host_port}/library/multi")
    await ask_all(held)


async def listed_models(held: Held) -> None:
    """The models of the list, shown as recorded where one was."""
    rows = json.loads(held.ours(exchange(rows_of(held.file)).texts[0]))["models"]
    shows = {one.asked: one for one in held.recorded if one.path == "/api/show"}
    verbose = json.loads(exchange("show-verbose").texts[0])
    for row in rows:
        name = row["name"].removesuffix(":latest")
        answers = [
            json.loads(held.ours(one.texts[0]))
            for asked, one in shows.items()
            if asked and json.loads(held.ours(asked))["model"] == name and one.status == 200
        ]
        fitting = verbose if row["name"].endswith("tiny2:latest") else None
        install(held.both.files, row, answers[0] if answers else None, fitting)
    await ask_all(held)


def rows_of(file: str) -> str:
    return "tags-several" if file.startswith("show") else file


async def no_models_loaded(held: Held) -> None:
    rows = json.loads(exchange("tags-several").texts[0])["models"]
    for name in ("tiny2:latest", "big:latest"):
        install(held.both.files, {**rows[0], "name": name, "capabilities": ["completion"]})
    await ask_all(held)


async def installed_from_registry(held: Held, *names: str) -> None:
    for name in names:
        await held.both.pull(f"{held.both.registry.host_port}/library/{name}")


async def deleting_and_copying(held: Held) -> None:
    await installed_from_registry(held, "m12", "multi")
    for number in range(len(held.recorded)):
        if held.recorded[number].path != "/api/tags":
            await held.ask(number)
            continue
        recorded = [row["name"] for row in json.loads(held.recorded[number].texts[0])["models"]]
        assert await held.both.names() == sorted(held.ours(name) for name in recorded)


async def deleting_during_a_pull(held: Held) -> None:
    await installed_from_registry(held, "tiny")
    held.both.registry.faults.throttle_bytes_per_second = 12 * MIB

    async def others() -> None:
        for number in range(1, len(held.recorded)):
            await held.ask(number)

    await held.ask(0, others)


async def blobs_and_creation(held: Held) -> None:
    content = weights(32_000, file_type=7)
    digest = digest_of(content)
    recorded = held.recorded[1].path.rpartition("/")[2]
    held.replacements[recorded] = digest
    held.replacements[recorded.replace(":", "-")] = digest.replace(":", "-")
    await held.ask(0)
    for number, body in ((1, content), (2, content), (3, b"abc")):
        path = held.ours(held.recorded[number].path).replace("000..0", "0" * 64)
        response = await held.both.client.post(path, content=body)
        assert response.status_code == held.recorded[number].status
        assert response.text == held.recorded[number].texts[0]
    for number in range(4, len(held.recorded)):
        await held.ask(number)


async def pulled_slowly(held: Held) -> None:
    """Downloads slow enough to be left in the middle."""
    held.both.registry.faults.throttle_bytes_per_second = 12 * MIB
    await ask_all(held)


async def corrupted_once(held: Held) -> None:
    held.both.registry.faults.throttle_bytes_per_second = 12 * MIB
    wrong = bytearray(LARGE)
    wrong[MIB] ^= 0xFF
    held.both.registry.faults.add(Fault(corrupt_at_byte=MIB, digest=DIGEST, times=1))
    for text in held.recorded[0].texts:
        if found := re.search(r"want (sha256:\w+), got (sha256:\w+)", text):
            held.replacements |= {found[1]: DIGEST, found[2]: digest_of(bytes(wrong))}
    await ask_all(held)


async def range_ignored(held: Held) -> None:
    held.both.registry.faults.throttle_bytes_per_second = 12 * MIB
    await held.ask(0)
    held.both.registry.faults.add(Fault(ignore_range=True))
    await held.ask(1)


async def silent_once(held: Held) -> None:
    held.both.registry.faults.throttle_bytes_per_second = 12 * MIB
    await with_faults(held, Fault(stall_after_bytes=4 * MIB, digest=DIGEST, times=1))


async def away_for_a_while(held: Held) -> None:
    held.both.registry.faults.throttle_bytes_per_second = 12 * MIB
    gone = Fault(status=503, digest=DIGEST, times=3)
    await with_faults(held, Fault(cut_after_bytes=4 * MIB, digest=DIGEST, times=1), gone)


async def away_for_good(held: Held) -> None:
    held.both.registry.faults.throttle_bytes_per_second = 12 * MIB
    held.both.registry.faults.add(Fault(cut_after_bytes=4 * MIB, digest=DIGEST, times=1))
    held.both.registry.faults.add(Fault(status=503, digest=DIGEST))
    old = next(text for text in held.recorded[0].texts if "max retries" in text)
    port = held.both.registry.host_port.partition(":")[2]
    held.replacements |= {
        re.findall(r"/data/sha256:\w+", old)[0]: f"/storage/{DIGEST}",
        "dial tcp 127.0.0.1:25000": f"dial tcp 127.0.0.1:{port}",
    }
    await held.ask(0, held.both.registry.stop)
    held.both.registry.faults.clear()
    held.both.registry.faults.throttle_bytes_per_second = 12 * MIB
    await held.both.registry.start()
    await held.ask(1)


async def slow_manifest(held: Held) -> None:
    held.both.registry.faults.add(Fault(place="manifests", wait_seconds=0.3))
    await held.ask(0)
    async with held.both.pulling(f"{held.both.registry.host_port}/library/tiny2") as lines:
        assert await anext(lines) == {"status": "pulling manifest"}
        await asyncio.sleep(0.1)
    await asyncio.sleep(0.4)
    names = await held.both.names()
    assert names == [f"{held.both.registry.host_port}/library/tiny:latest"]


async def killed(held: Held) -> None:
    """The recorded server was killed in the middle; so is a process of the embedded store."""
    held.both.registry.faults.throttle_bytes_per_second = 6 * MIB
    folder = held.both.store.folder.parent / "killed"
    process, url = await asyncio.to_thread(start_process, folder, folder.parent)
    try:
        async with client_of(url) as client:
            held.both.client, own = client, held.both.client

            async def kill() -> None:
                await asyncio.sleep(0.6)
                process.kill()

            await held.ask(0, kill)
    finally:
        process.kill()
        await asyncio.to_thread(process.communicate)
    with pytest.raises(httpx.ConnectError):
        await asyncio.to_thread(httpx.get, f"{url}/api/tags", trust_env=False)
    async with EmbeddedStore(folder, port=0, limits=QUICK) as store, client_of(store.url) as client:
        held.both.client = client
        await held.ask(2)
    held.both.client = own


async def disk_full(held: Held) -> None:
    held.resumption = False
    folder = held.both.store.folder.parent / "small"
    with small_disk.mounted(folder):
        store = EmbeddedStore(folder, port=0, limits=QUICK)
        async with store, client_of(store.url) as client:
            held.both.client, own = client, held.both.client
            held.replacements |= {
                "$OLLAMA_MODELS": str(folder),
                "8b06b3c3e71986295adc16c2e97fbfb932625192f0bc46b1bb4b2d95451ff819": DIGEST[7:],
                "0724dd1ebaeb9e9a9dd65fdb619fd29ae9b4128a4fb911a4308016e5bfb24ada": TINY[7:],
            }
            await ask_all(held)
            held.both.client = own


async def two_readers(held: Held) -> None:
    """The second begins where the first is, which depends on when it came."""
    held.resumption = False
    held.both.registry.faults.throttle_bytes_per_second = 12 * MIB
    second: list[asyncio.Task[None]] = []

    async def join() -> None:
        second.append(asyncio.create_task(held.ask(1)))
        await asyncio.sleep(0.1)

    one = held.recorded[0]
    stream = held.both.client.stream(one.method, one.path, content=held.ours(one.asked or ""))
    async with stream as first, aclosing(lines_of(first)) as coming:
        async for line in coming:
            if share(line) > 1 / 3:
                await join()
                break
    await second[0]


async def readers_in_turn(held: Held) -> None:
    """What they get depends on when the one before left."""
    held.resumption = False
    await pulled_slowly(held)


async def two_large_layers(held: Held) -> None:
    held.both.registry.faults.throttle_bytes_per_second = 12 * MIB
    await held.ask(0)
    await held.ask(1)


async def plain_http(held: Held) -> None:
    """The registry in these names speaks no TLS, and says so in plain HTTP."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        held.replacements["127.0.0.1:25000"] = f"127.0.0.1:{port}"
        await ask_all(held)


TINY = digest_of(weights(32_000))
ARRANGED: dict[str, Callable[[Held], Awaitable[None]]] = {
    "bad-names-pull": plain_http,
    "create-and-blobs": blobs_and_creation,
    "delete-and-copy": deleting_and_copying,
    "delete-during-pull": deleting_during_a_pull,
    "partial-files-and-server-restart": pulled_slowly,
    "ps-load-unload": no_models_loaded,
    "pull-already-present": everything_there,
    "pull-cancel-then-immediate-repull": readers_in_turn,
    "pull-cancel-then-resume": pulled_slowly,
    "pull-digest-mismatch": corrupted_once,
    "pull-disk-full": disk_full,
    "pull-four-parts-cancel-resume": pulled_slowly,
    "pull-layer-missing-in-registry": layer_missing,
    "pull-registry-401": refused_401,
    "pull-registry-429": busy_429,
    "pull-registry-503": busy_503,
    "pull-registry-down-8s-then-back": away_for_a_while,
    "pull-registry-gone-max-retries": away_for_good,
    "pull-registry-refused": plain_http,
    "pull-registry-without-redirect": no_redirect,
    "pull-resume-where-range-is-ignored": range_ignored,
    "pull-server-restart-sigkill": killed,
    "pull-shared-layer-second-model": everything_there,
    "pull-slow-manifest": slow_manifest,
    "pull-slow-client-reader": pulled_slowly,
    "pull-stalled-connection-30s": silent_once,
    "pull-two-big-layers-cancel-in-second": two_large_layers,
    "pull-two-clients-one-cancels": two_readers,
    "pull-two-different-models-at-once": readers_in_turn,
    "show": listed_models,
    "show-verbose": listed_models,
    "tags-realistic-table": listed_models,
    "tags-several": listed_models,
    "tags-variety-of-models": listed_models,
}
"""Recordings that need more than an empty store."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models with the recorded names, for sample registries."""
    folder = tmp_path_factory.mktemp("served")
    template = b"{{ .Prompt }}"
    for name in ("m12", "m60", "m300"):
        write_model(folder, f"library/{name}", {"model": LARGE, "template": template})
    several = {"model": LARGE, "template": template, "system": b"You."}
    write_model(folder, "library/multi", several)
    write_model(folder, "library/vision", {"projector": weights(6 * MIB), "model": LARGE})
    for name in ("tiny", "tiny2"):
        write_model(folder, f"library/{name}", {"model": weights(32_000), "template": template})
    return folder


@pytest.fixture
async def both(tmp_path: Path, served: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bed]:
    """An empty store without a network, and a registry that serves the models."""
    monkeypatch.setenv("HTTPS_PROXY", CLOSED_PROXY)
    shutil.copytree(served, tmp_path / "registry", copy_function=os.link)
    async with bed(tmp_path) as one:
        yield one


@pytest.mark.parametrize("file", files())
async def test_answers_are_the_recorded_ones(file: str, both: Bed) -> None:
    """Whatever a real server was asked is answered alike, but for the listed differences."""
    held = Held(file, both)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        held.replacements["127.0.0.1:25999"] = f"127.0.0.1:{closed.getsockname()[1]}"

        await ARRANGED.get(file, ask_all)(held)

    for where, numbers in held.listed().items():
        assert held.differ & numbers, f"{where} does not differ any more: take it off the list"


def test_listed_differences_name_recordings() -> None:
    """An entry has an id of its own, says what and why, and names what was recorded."""
    entries = yaml.safe_load(DIFFERENCES.read_text(encoding="utf-8"))

    assert len({entry["id"] for entry in entries}) == len(entries)
    assert all(entry["what"].endswith(".") and entry["why"].endswith(".") for entry in entries)
    assert {where.partition("/")[0] for where in allowed()} <= set(files())
