"""A large pull through the embedded store, beside curl and openssl doing the same work.

    python -m tests.bench.bench_embedded [--quick] [--size-mb 1024]

Registry and store are processes of their own on loopback. The store fetches, checks and keeps a
model; the others fetch its one large file and hash it, which is less.

The store is to take two thirds of their time. That is out of reach where the hash alone takes
longer, as on a processor without instructions for SHA-256: nothing can be checked sooner than one
core has hashed it. There it has to come near the speed that the hash alone would have, which
openssl tells in the same run, and is never to be slower than they are.
"""

from __future__ import annotations

import os
import random
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from modelwidgets.stores.samples import write_model
from tests.bench.figures import Figure, in_turns, run_alone
from tests.bench.processes import own_folder, server, usual

MIB = 1 << 20
TIMES_AS_FAST = 1.5
OF_THE_MOST = 0.85
"""How near to the hash alone it has to come where that is the limit."""
STORE = """
import asyncio, pathlib, sys
from modelwidgets.stores.embedded import EmbeddedStore
async def main():
    store = EmbeddedStore(pathlib.Path(sys.argv[1]), port=0)
    await store.start()
    print(store.url, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await store.stop()
asyncio.run(main())
"""


def figures(*, quick: bool, size_mb: int | None = None) -> Iterator[Figure]:
    if shutil.which("curl") is None or shutil.which("openssl") is None:
        print("There is no curl or no openssl here to compare with.", file=sys.stderr)
        return
    size_bytes = (size_mb or (128 if quick else 1024)) * MIB
    with own_folder() as folder:
        digest = make_model(folder / "registry", size_bytes)
        words = ("--folder", str(folder / "registry"), "--while-stdin")
        with server(folder, "modelwidgets.stores.sample_registry", *words) as said:
            yield compare(folder, said.strip(), digest, size_bytes, times=3 if quick else 5)


def compare(folder: Path, registry: str, digest: str, size_bytes: int, *, times: int) -> Figure:
    blob = f"{registry}/storage/{digest}"
    name = f"{registry.removeprefix('http://')}/library/large"
    turns = [
        (curl + hashing, hashing, pull)
        for (curl, hashing), (pull,) in in_turns(
            times, lambda: curl_seconds(folder, blob), lambda: (pull_seconds(folder, name),)
        )
    ]
    theirs, alone, ours = (statistics.median(column) for column in zip(*turns, strict=True))
    share = statistics.median(hashing / both for both, hashing, _ in turns)
    return Figure(
        what=f"pull of {size_bytes / MIB:.0f} MiB, time beside curl and openssl",
        value=statistics.median(pull / both for both, _, pull in turns),
        bound=min(1.0, max(1 / TIMES_AS_FAST, share / OF_THE_MOST)),
        unit="times theirs",
        against=f"{theirs:.2f} s, here {ours:.2f} s: {theirs / ours:.2f} times as fast; "
        f"the hash alone: {alone:.2f} s, so {1 / share:.2f} times is the most to be had here",
    )


def curl_seconds(folder: Path, url: str) -> tuple[float, float]:
    """Fetch a file and hash it, with the programs that everybody has; how long each takes."""
    file = folder / "file"
    os.sync() if hasattr(os, "sync") else None
    began = time.perf_counter()
    subprocess.run(["curl", "-s", "--noproxy", "*", "-o", str(file), url], check=True)
    fetched = time.perf_counter()
    subprocess.run(["openssl", "dgst", "-sha256", str(file)], check=True, capture_output=True)
    hashed = time.perf_counter()
    file.unlink()
    return fetched - began, hashed - fetched


def pull_seconds(folder: Path, name: str) -> float:
    """Pull the model into an empty store."""
    models = folder / "models"
    with (
        httpx.Client(timeout=600, trust_env=False) as client,
        subprocess.Popen(
            [sys.executable, "-c", STORE, str(models)],
            env=usual(folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as store,
    ):
        assert store.stdin
        assert store.stdout
        url = store.stdout.readline().strip()
        os.sync() if hasattr(os, "sync") else None
        began = time.perf_counter()
        asked = {"model": name, "insecure": True, "stream": False}
        answer = client.post(f"{url}/api/pull", json=asked)
        seconds = time.perf_counter() - began
        store.stdin.close()
    assert answer.json() == {"status": "success"}, answer.text
    shutil.rmtree(models)
    return seconds


def make_model(folder: Path, size_bytes: int) -> str:
    """A model whose weights are one large file of noise; its digest."""
    noise = random.Random(size_bytes).randbytes(16 * MIB)  # noqa: S311 - noise
    content = folder / "noise"
    folder.mkdir(parents=True)
    with content.open("wb") as file:
        for _ in range(size_bytes // len(noise)):
            file.write(noise)
    manifest = write_model(folder, "library/large", {"model": content}, {})
    content.unlink()
    return manifest.layers[0].digest


if __name__ == "__main__":
    if "--size-mb" in sys.argv:
        size = int(sys.argv[sys.argv.index("--size-mb") + 1])
        for figure in figures(quick="--quick" in sys.argv, size_mb=size):
            print(figure)
    else:
        run_alone(figures)
