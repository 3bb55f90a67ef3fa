"""A manager in a process of its own, which does what a test writes on its standard input."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.commands import PYTHON, Process, eventually, program

DOOR = """
import asyncio, json, sys
from modelwidgets.commands import carry_out
from modelwidgets.errors import ModelWidgetsError
from modelwidgets.manager import Manager
from modelwidgets.plain_json import as_json
from modelwidgets.stores.ollama import OllamaClient

async def main(url, viewer):
    manager = Manager(OllamaClient(url), viewer=viewer)
    manager.start()
    manager.seen("page", "pulls", True)
    await manager.watch.looked.wait()
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        method, params = json.loads(line)
        try:
            if method == "slice":
                value = manager.slices[params["name"]]
            else:
                value = await carry_out(manager, method, params, door="page", send=lambda _: None)
            print(json.dumps(as_json(value)), flush=True)
        except ModelWidgetsError as error:
            print(json.dumps({"refused": str(error)}), flush=True)
    await manager.close()

asyncio.run(main(*sys.argv[1:]))
"""


class DoorProcess:
    """What a notebook is to its manager: commands in, slices out."""

    def __init__(self, process: Process) -> None:
        self.process = process

    def call(self, method: str, **params: Any) -> Any:
        stdin = self.process._process.stdin
        assert stdin
        stdin.write(json.dumps([method, params]) + "\n")
        stdin.flush()
        return self.process.json()

    @property
    def pulls(self) -> list[dict[str, Any]]:
        return list(self.call("slice", name="pulls"))

    def until(
        self, state: str, *, elsewhere: bool = False, above_bytes: int = -1
    ) -> dict[str, Any]:
        """The pull in this state, run by this process or `elsewhere`, as soon as there is one."""

        def look() -> dict[str, Any] | None:
            return next(
                (
                    pull
                    for pull in self.pulls
                    if pull["state"] == state
                    and (pull["owner"] is not None) == elsewhere
                    and pull["completed_bytes"] > above_bytes
                ),
                None,
            )

        return eventually(look) or {}


@contextmanager
def door(folder: Path, url: str, viewer: str = "kernel on here") -> Iterator[DoorProcess]:
    """A manager that looks at `url`, for as long as the block runs, with its state in `folder`."""
    with program(folder, [*PYTHON, "-c", DOOR, url, viewer]) as process:
        said = process.line()
        assert said == "ready", process.ended()[2]
        yield DoorProcess(process)
