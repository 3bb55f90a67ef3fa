"""An unfinished download on disk, as Ollama keeps it, so that either can finish the other's.

Beside the file that is to be, `X`, lies `X-partial`, as long as the whole from the start but full
of holes, and for each range a side file `X-partial-N` that says how much of it has arrived.

A side file is written over in place, without being emptied first: a process that is killed at any
moment leaves one that can be read, and a full disk does not stand in the way.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PARTS = 16
MIN_PART_BYTES = 100_000_000
MAX_PART_BYTES = 1_000_000_000
_MAX_SIDE_FILE_BYTES = 4096


@dataclass(slots=True, kw_only=True)
class Part:
    """A range of a file, and how much of it lies on disk."""

    n: int
    offset: int
    size_bytes: int
    completed_bytes: int = 0
    rollbacks: int = 0
    """How often bytes that had arrived were given up since the download began."""

    @property
    def end(self) -> int:
        return self.offset + self.size_bytes

    @property
    def position(self) -> int:
        """Where its next byte belongs."""
        return self.offset + self.completed_bytes

    @property
    def complete(self) -> bool:
        return self.completed_bytes == self.size_bytes


class Partial:
    """The files of one unfinished download of `target`."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(f"{target.name}-partial")

    def kept_bytes(self) -> int:
        """How much a download that starts now would not fetch again."""
        return sum(part.completed_bytes for part in self.parts())

    def parts(self, size_bytes: int | None = None) -> list[Part]:
        """The ranges as the side files tell; none where they contradict each other or the size.

        The content alone proves nothing: its full length is there from the first moment.
        """
        try:
            length = self.path.stat().st_size
        except FileNotFoundError:
            return []
        parts: list[Part] = []
        offset = 0
        while (part := self._read(len(parts))) is not None:
            if part.offset != offset or part.end > length:
                return []
            offset = part.end
            parts.append(part)
        whole = length if size_bytes is None else size_bytes
        return parts if offset == whole and len(parts) == len(self._side_files()) else []

    def prepare(self, size_bytes: int) -> list[Part]:
        """The kept ranges, or fresh ones where nothing usable is kept; the file has its length."""
        parts = self.parts(size_bytes)
        if not parts:
            self.remove()
            parts = _ranges(size_bytes)
            for part in parts:
                self.save(part)
        descriptor = os.open(self.path, os.O_CREAT | os.O_RDWR | getattr(os, "O_BINARY", 0), 0o644)
        try:
            _make_sparse(descriptor)
            os.truncate(descriptor, size_bytes)
        finally:
            os.close(descriptor)
        return parts

    def save(self, part: Part) -> None:
        """Write down how far a range is."""
        path = self._side_file(part.n)
        text = json.dumps(
            {
                "N": part.n,
                "Offset": part.offset,
                "Size": part.size_bytes,
                "Completed": part.completed_bytes,
            },
            separators=(",", ":"),
        )
        descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | getattr(os, "O_BINARY", 0), 0o644)
        try:
            os.write(descriptor, text.encode() + b"\n")
            os.truncate(descriptor, len(text) + 1)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from error
        finally:
            os.close(descriptor)

    def finish(self) -> None:
        """Give the complete file its name; side files that outlive a crash here claim nothing."""
        self.path.replace(self.target)
        for path in self._side_files():
            path.unlink()

    def remove(self) -> None:
        """Forget the download and free its space."""
        for path in [*self._side_files(), self.path]:
            path.unlink(missing_ok=True)

    def _side_file(self, n: int) -> Path:
        return self.path.with_name(f"{self.path.name}-{n}")

    def _side_files(self) -> list[Path]:
        return [
            path
            for path in self.path.parent.glob(f"{self.path.name}-*")
            if path.name.rpartition("-")[2].isdecimal()
        ]

    def _read(self, n: int) -> Part | None:
        """One side file; anything that is not what a server writes counts as missing."""
        try:
            with self._side_file(n).open("rb") as file:
                text = file.read(_MAX_SIDE_FILE_BYTES).decode()
            said: Any = json.JSONDecoder().raw_decode(text)[0]
            part = Part(
                n=said["N"],
                offset=said["Offset"],
                size_bytes=said["Size"],
                completed_bytes=said["Completed"],
            )
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        numbers = (part.n, part.offset, part.size_bytes, part.completed_bytes)
        if any(type(number) is not int or number < 0 for number in numbers):
            return None
        return part if part.n == n and part.completed_bytes <= part.size_bytes else None


def _ranges(size_bytes: int) -> list[Part]:
    each = min(max(size_bytes // PARTS, MIN_PART_BYTES), MAX_PART_BYTES)
    starts = range(0, size_bytes, each)
    return [
        Part(n=n, offset=start, size_bytes=min(each, size_bytes - start))
        for n, start in enumerate(starts)
    ]


def _make_sparse(descriptor: int) -> None:
    """Ask NTFS for holes, which it would else fill with zeros; other systems need no asking."""
    if sys.platform == "win32":
        import ctypes  # noqa: PLC0415 - only there
        import msvcrt  # noqa: PLC0415 - only there

        set_sparse = 0x000900C4
        ctypes.windll.kernel32.DeviceIoControl(
            msvcrt.get_osfhandle(descriptor),
            set_sparse,
            *(None, 0, None, 0),
            ctypes.byref(ctypes.c_ulong()),
            None,
        )
