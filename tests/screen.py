"""A command on a terminal: what is typed, and what its screen shows."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.commands import BLOCKED, COMMAND, COMPILED, PATIENCE_SECONDS
from tests.isolation import environment

_TOKEN = re.compile(r"\x1b\[(\d*)F|\x1b\[(J)|(\r\n|\n)|(\r)|([^\x1b\r\n]+)|(\x1b)")


class Screen:
    """The lines of a terminal that knows what our commands draw with."""

    def __init__(self) -> None:
        self.frames: list[list[str]] = []
        """What stood there each time before it was drawn anew."""
        self._lines = [""]
        self._row = 0
        self._column = 0

    @property
    def lines(self) -> list[str]:
        """What stands there now."""
        return self._lines if self._lines[-1] else self._lines[:-1]

    def feed(self, text: str) -> None:
        for up, erase, line, back, shown, unknown in _TOKEN.findall(text):
            assert not unknown, f"a sequence that this screen does not know: {text!r}"
            if up:
                self.frames.append(list(self.lines))
                self._row, self._column = self._row - int(up), 0
                assert self._row >= 0, "drawn above what was drawn"
            elif erase:
                del self._lines[self._row + 1 :]
                self._lines[self._row] = self._lines[self._row][: self._column]
            elif line:
                self._row, self._column = self._row + 1, 0
                if self._row == len(self._lines):
                    self._lines.append("")
            elif back:
                self._column = 0
            elif shown:
                before = self._lines[self._row]
                after = before[self._column + len(shown) :]
                self._lines[self._row] = before[: self._column].ljust(self._column) + shown + after
                self._column += len(shown)


class OnTerminal:
    """A running command, its keyboard and its screen."""

    def __init__(self, command: list[str], env: dict[str, str], size: tuple[int, int]) -> None:
        self._keyboard, inner = pty.openpty()
        columns, rows = size
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._process = subprocess.Popen(
            command,
            env=env,
            cwd=env["HOME"],
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
            preexec_fn=_take_terminal,  # noqa: PLW1509 - no threads are started before exec
        )
        os.close(inner)
        self.raw = ""
        self._reader = threading.Thread(target=self._read, name="screen")
        self._reader.start()

    def type(self, keys: str) -> None:
        os.write(self._keyboard, keys.encode())

    def until(self, words: str) -> None:
        """Wait until the command has said so."""
        end = time.monotonic() + PATIENCE_SECONDS
        while words not in self.raw:
            assert time.monotonic() < end, f"never said {words!r}: {self.raw!r}"
            assert self._reader.is_alive() or words in self.raw, f"ended: {self.raw!r}"
            time.sleep(0.01)

    def ended(self) -> tuple[int, Screen]:
        """Its exit code and what its screen shows in the end."""
        code = self._process.wait(PATIENCE_SECONDS)
        self._reader.join(PATIENCE_SECONDS)
        screen = Screen()
        screen.feed(self.raw)
        return code, screen

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
        self._reader.join(PATIENCE_SECONDS)
        os.close(self._keyboard)

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._keyboard, 65536)
            except OSError:  # the last program on the terminal has gone
                return
            if not data:
                return
            self.raw += data.decode(errors="replace")


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@contextmanager
def on_terminal(
    folder: Path, *words: str, size: tuple[int, int] = (80, 24), **env: str
) -> Iterator[OnTerminal]:
    """`modelwidgets WORDS` on a terminal of `size` columns and rows."""
    given = {**BLOCKED, **COMPILED, "TERM": "xterm", **env}
    command = OnTerminal([*COMMAND, *words], environment(folder, **given), size)
    try:
        yield command
    finally:
        command.close()
