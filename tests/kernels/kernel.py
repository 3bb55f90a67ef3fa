"""A kernel without a front end: tests speak its protocol."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager

T = TypeVar("T")
START_SECONDS = 30
CELL_SECONDS = 30


@dataclass
class Run:
    """A cell that was sent, and what it gave so far."""

    msg_id: str
    began: float
    printed: str = ""
    errors: list[str] = field(default_factory=list)
    error_name: str | None = None
    value: str | None = None
    seconds: float | None = None
    """How long it took, once it has ended."""
    idle: bool = False
    """The kernel is done with it: nothing is printed for it any more."""
    replied: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """Both, as pages wait for both before they send the next cell.

    A message that comes while ipykernel 7.0 to 7.3 sends a reply can lie there unread
    (github.com/ipython/ipykernel/issues/1554), so who does not wait for the reply may hang.
    """

    async def wait(self, within_seconds: float = CELL_SECONDS) -> Run:
        async with asyncio.timeout(within_seconds):
            await self.ended.wait()
        return self


@dataclass(frozen=True)
class CommMessage:
    """A message from a widget to the page: `comm_open`, `comm_msg` or `comm_close`."""

    at: float
    kind: str
    comm_id: str
    data: dict[str, Any]
    parent_id: str

    @property
    def custom(self) -> dict[str, Any] | None:
        """What was sent with `widget.send`."""
        return self.data.get("content") if self.data.get("method") == "custom" else None


class Kernel:
    """A running kernel of some Python."""

    def __init__(self, python: Path, folder: Path, environ: Mapping[str, str]) -> None:
        specs = folder / "kernels"
        spec = {
            "argv": [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            "display_name": "under test",
            "language": "python",
        }
        (specs / "tested").mkdir(parents=True)
        (specs / "tested" / "kernel.json").write_text(json.dumps(spec))
        self._manager = AsyncKernelManager(
            kernel_name="tested",
            kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(specs)]),
            connection_file=str(folder / "connection.json"),
        )
        self._environ = dict(environ)
        self._folder = folder
        self._runs: dict[str, Run] = {}
        self.messages: list[CommMessage] = []
        """All comm messages, in the order in which they came."""
        self.stray: list[str] = []
        """What was printed for no cell of ours, or for one that had ended."""
        self.features: list[str] = []

    async def start(self) -> None:
        await self._manager.start_kernel(env=self._environ, cwd=str(self._folder))
        self._client: AsyncKernelClient = self._manager.client()
        self._client.start_channels()
        await self._client.wait_for_ready(timeout=START_SECONDS)
        info = await self._client.kernel_info(reply=True, timeout=START_SECONDS)
        self.features = info["content"].get("supported_features", [])
        self._reading = asyncio.gather(self._read(), self._read_replies())

    @property
    def pid(self) -> int:
        return int(self._manager.provisioner.pid)  # type: ignore[union-attr]

    # Cells

    def send(self, code: str, *, cell: str | None = None) -> Run:
        """Send a cell and do not wait; `cell` is its id, which a front end gives."""
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": False,
        }
        message = self._client.session.msg("execute_request", content)
        message["metadata"] = {"cellId": cell} if cell else {}
        run = Run(msg_id=message["header"]["msg_id"], began=time.monotonic())
        self._runs[run.msg_id] = run
        self._client.shell_channel.send(message)
        return run

    async def run(self, code: str, *, cell: str | None = None) -> Run:
        """Run a cell to its end; an error in it fails the test."""
        run = await self.send(code, cell=cell).wait()
        if run.errors:
            raise AssertionError("\n".join(run.errors))
        return run

    async def interrupt(self) -> float:
        """Interrupt as the stop button does; returns when that was."""
        await self._manager.interrupt_kernel()
        return time.monotonic()

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    # Widgets

    async def subshell(self) -> str | None:
        """A subshell, as a page asks for one to speak with widgets; None where there are none."""
        if "kernel subshells" not in self.features:
            return None
        request = self._client.session.msg("create_subshell_request", {})
        self._client.control_channel.send(request)
        async with asyncio.timeout(CELL_SECONDS):
            while True:
                reply = await self._client.control_channel.get_msg()
                if reply["parent_header"].get("msg_id") == request["header"]["msg_id"]:
                    return str(reply["content"]["subshell_id"])

    def click(self, comm_id: str, content: dict[str, Any], subshell: str | None = None) -> float:
        """Send a widget a message as its page does; returns when that was."""
        data = {"method": "custom", "content": content}
        message = self._client.session.msg("comm_msg", {"comm_id": comm_id, "data": data})
        if subshell is not None:
            message["header"]["subshell_id"] = subshell
        self._client.shell_channel.send(message)
        return time.monotonic()

    def opened(self) -> list[CommMessage]:
        """The widgets that were made, each by its first message."""
        return [message for message in self.messages if message.kind == "comm_open"]

    def of(self, comm_id: str) -> list[CommMessage]:
        return [message for message in self.messages if message.comm_id == comm_id]

    def custom(self, comm_id: str) -> list[dict[str, Any]]:
        """What a widget sent with `widget.send`."""
        return [message.custom for message in self.of(comm_id) if message.custom is not None]

    def reply(self, comm_id: str, call: int) -> CommMessage | None:
        """The widget's answer to the call with this id."""
        for message in self.of(comm_id):
            if message.custom and message.custom["op"] == "reply" and message.custom["id"] == call:
                return message
        return None

    async def until(self, condition: Callable[[], T], within_seconds: float = CELL_SECONDS) -> T:
        """Wait until `condition()` is true, and return it."""
        end = time.monotonic() + within_seconds
        while not (found := condition()):
            if time.monotonic() > end:
                raise AssertionError(
                    f"not within {within_seconds:g} s: {inspect.getsource(condition)}"
                )
            await asyncio.sleep(0.005)
        return found

    # Its end

    async def shut_down(self) -> float:
        """End the kernel as a front end does; returns the seconds until its process is gone."""
        began = time.monotonic()
        self._client.shutdown()
        await self.until(self._ended, within_seconds=10)
        return time.monotonic() - began

    async def close(self) -> None:
        if hasattr(self, "_reading"):
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reading
        if hasattr(self, "_client"):
            self._client.stop_channels()
        if self._manager.has_kernel:
            await self._manager.shutdown_kernel(now=True)
        self._manager.context.destroy()

    def _ended(self) -> bool:
        return self._manager.provisioner.process.poll() is not None  # type: ignore[union-attr]

    async def _read(self) -> None:
        while True:
            message = await self._client.get_iopub_msg()
            parent = message["parent_header"].get("msg_id", "")
            self._take(message["msg_type"], message["content"], parent)

    async def _read_replies(self) -> None:
        while True:
            message = await self._client.get_shell_msg()
            if run := self._runs.get(message["parent_header"].get("msg_id", "")):
                run.replied = True
                self._settle(run)

    def _settle(self, run: Run) -> None:
        if run.idle and run.replied:
            run.ended.set()

    def _take(self, kind: str, content: dict[str, Any], parent: str) -> None:
        run = self._runs.get(parent)
        if kind.startswith("comm_"):
            data = content.get("data", {})
            comm = CommMessage(time.monotonic(), kind, content["comm_id"], data, parent)
            self.messages.append(comm)
        elif kind == "stream" and (run is None or run.idle):
            self.stray.append(content["text"])
        elif run is None:
            return
        elif kind == "stream":
            run.printed += content["text"]
        elif kind == "error":
            run.errors += content["traceback"]
            run.error_name = content["ename"]
        elif kind in ("execute_result", "display_data"):
            run.value = content["data"].get("text/plain")
        elif kind == "status" and content["execution_state"] == "idle":
            run.seconds = time.monotonic() - run.began
            run.idle = True
            self._settle(run)
