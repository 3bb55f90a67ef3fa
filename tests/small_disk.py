"""A disk of 6 MB: a real one where one may be mounted, else a folder that acts like it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

from modelwidgets.stores import transfer
from modelwidgets.stores.partial import Part, Partial

SIZE_BYTES = 6 << 20


@contextmanager
def mounted(folder: Path) -> Iterator[Path]:
    """A tmpfs, which only Linux has and only root may mount; elsewhere the double."""
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES}", "tmpfs", str(folder)]
    root = sys.platform == "linux" and os.geteuid() == 0
    if not root or subprocess.run(mount, check=False, capture_output=True).returncode:
        with double(folder) as small:
            yield small
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def double(folder: Path) -> Iterator[Path]:
    """A folder in which downloads can write so much and no more, as on a full disk."""
    folder.mkdir(exist_ok=True)
    left = [SIZE_BYTES]

    def spend(wanted: int) -> int:
        granted = min(wanted, left[0])
        if not granted:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        left[0] -= granted
        return granted

    class SmallFile(FileIO):
        def write(self, content: Any) -> int:
            return super().write(memoryview(content)[: spend(len(content))])

    class SmallPath(type(Path())):  # type: ignore[misc]
        def open(self, mode: str = "r", *_: Any, **__: Any) -> Any:
            return SmallFile(self, mode)

    class SmallPartial(Partial):
        def __init__(self, target: Path) -> None:
            super().__init__(target)
            self.path = SmallPath(self.path)

        def save(self, part: Part) -> None:
            side = self.path.with_name(f"{self.path.name}-{part.n}")
            if not side.exists() and not left[0]:
                side.touch()
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(side))
            super().save(part)

    with patch.object(transfer, "Partial", SmallPartial):
        yield folder
