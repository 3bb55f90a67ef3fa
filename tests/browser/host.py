"""The server of a notebook host, as a process of ours."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from tests.isolation import environment

START_SECONDS = 60


class HostServer:
    """What it says, and what its kernels keep, lies inside `folder`."""

    def __init__(self, folder: Path, app: str, **environ: str) -> None:
        """`environ` is added to the environment of the server and of its kernels."""
        self.app = app
        self.url = ""
        self._log_path = folder / f"{app}.log"
        self._env = environment(folder, **environ)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return self._log_path.read_text(errors="replace")

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _run(
        self, command: Sequence[str], ready: Callable[[], bool], *, cwd: Path | None = None
    ) -> None:
        """Start it, and wait until it is ready."""
        with self._log_path.open("wb") as log:
            self._process = subprocess.Popen(
                command, env=self._env, cwd=cwd, stdout=log, stderr=log
            )
        end = time.monotonic() + START_SECONDS
        while not ready():
            if self._process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise RuntimeError(f"{self.app} did not start:\n{self.log}")
            time.sleep(0.1)


def told_url(runtime: Path) -> str:
    """The address of the Jupyter server that keeps its files there, once somebody listens at it.

    The file that tells it is written before that.
    """
    for told in runtime.glob("jpserver-*.json"):
        try:
            url: str = json.loads(told.read_text())["url"]
            at = urlsplit(url)
            socket.create_connection((at.hostname, at.port), timeout=5).close()
        except (ValueError, ConnectionRefusedError):  # half written, or not yet
            continue
        return url
    return ""
