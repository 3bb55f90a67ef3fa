"""Two kernels of one user, each with a page: what one pulls, the other shows, stops and resumes."""

from __future__ import annotations

import signal
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.isolation import environment
from tests.kernels.environments import NEWEST, kernel_python
from tests.kernels.kernel import Kernel
from tests.model_server import ModelServer

EMBED = "embed:tiny"
EMBED_BYTES = 6_345_095


class Page:
    """The page of a `PullBars`, as far as its rows and calls go."""

    def __init__(self, kernel: Kernel, comm: str) -> None:
        self._kernel = kernel
        self._comm = comm
        self._calls = 0

    async def call(self, method: str, **params: Any) -> Any:
        self._calls += 1
        number = self._calls
        asked = {"op": "call", "id": number, "method": method, "params": params}
        self._kernel.click(self._comm, asked)
        answer = await self._kernel.until(lambda: self._kernel.reply(self._comm, number))
        assert answer.custom
        assert answer.custom["ok"], answer.custom
        return answer.custom["value"]

    def rows(self) -> list[dict[str, Any]]:
        rows: dict[str, dict[str, Any]] = {}
        for message in self._kernel.custom(self._comm):
            match message:
                case {"op": "slice", "name": "pulls", "value": value}:
                    rows = {row["id"]: row for row in value}
                case {"op": "patch", "name": "pulls", "rows": changed}:
                    for key, fields in changed.items():
                        rows[key] = rows.get(key, {}) | fields
                    ids = message.get("ids", list(rows))
                    rows = {key: rows[key] for key in ids}
        return list(rows.values())

    def row(self, state: str) -> dict[str, Any] | None:
        return next((row for row in self.rows() if row["state"] == state), None)


async def opened(
    stack: AsyncExitStack, folder: Path, shared: Path, url: str
) -> tuple[Kernel, Page]:
    environ = environment(shared, OLLAMA_HOST=url)
    kernel = Kernel(kernel_python(NEWEST), folder, environ)
    stack.push_async_callback(kernel.close)
    await kernel.start()
    await kernel.run("from modelwidgets import PullBars, pull\nimport time\nbars = PullBars()")
    page = Page(kernel, (await kernel.run("print(bars.model_id)")).printed.strip())
    await page.call("hello")
    await page.call("visible", view="1", visible=True)
    return kernel, page


async def test_another_notebook_stops_and_resumes_what_a_busy_kernel_pulls(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, model_server: ModelServer
) -> None:
    """Within a second while the first one computes; after its death at the bytes it had."""
    model_server.registry.faults.throttle_bytes_per_second = 1_000_000
    name = model_server.name(EMBED)
    async with AsyncExitStack() as stack:
        url, new = model_server.url, tmp_path_factory.mktemp
        one, _ = await opened(stack, new("one"), tmp_path, url)
        two, page = await opened(stack, new("two"), tmp_path, url)
        await one.run(f"handle = pull({name!r})")
        one.send("while True: pass")
        theirs = await two.until(lambda: page.row("running"))
        assert theirs["owner"].startswith("kernel on ")
        assert theirs["owner"].endswith(f"(process {one.pid})")
        began = time.monotonic()
        await page.call("stop", id=theirs["id"])
        took = time.monotonic() - began
        await two.until(lambda: not model_server.sending())
        await one.interrupt()

        await one.run(f"handle = pull({name!r})")
        await two.until(lambda: (page.row("running") or {}).get("completed_bytes", 0) > 2_000_000)
        one.signal(getattr(signal, "SIGKILL", signal.SIGTERM))
        killed = time.monotonic()
        left = await two.until(lambda: page.row("interrupted"))
        offered = time.monotonic() - killed
        model_server.registry.faults.throttle_bytes_per_second = None
        resumed = await page.call("retry", id=left["id"])
        done = await two.until(lambda: page.row("done"))

    assert took < 3  # aim: 1 s, on a machine that does nothing else
    assert offered < 6  # aim: 3 s
    assert 2_000_000 < left["completed_bytes"] < EMBED_BYTES
    assert (done["id"], done["completed_bytes"]) == (resumed["id"], EMBED_BYTES)
    assert model_server.registry.sent_bytes() < EMBED_BYTES + 2_000_000
