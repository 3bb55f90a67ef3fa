"""The folder of an embedded store, changed: what `StoreFiles` only reads.

Everything appears whole or not at all: it is written beside and moved into place.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from modelwidgets.errors import StoreError
from modelwidgets.names import ModelName
from modelwidgets.stores.ollama_files import StoreFiles

GRACE_SECONDS = 3600.0
"""Files younger than that may belong to a server that has not written their manifest yet."""
_LOCK_NAME = ".modelwidgets-lock"
_LOCKED_BYTE = 1 << 20
"""Far behind the text of the lock file, which others may read while it is locked."""


class StoreFolder(StoreFiles):
    """The folder as its one server has it."""

    _lock: FileIO | None = None

    def open(self) -> None:
        """Make the folder and take it for this process; raises `StoreError` where that fails."""
        try:
            for folder in (self.blobs, self.manifests_folder):
                folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            path = self.folder / _LOCK_NAME
            path.touch()
            lock = FileIO(path, "r+")
        except OSError as error:
            raise StoreError(
                f"Models cannot be kept in {self.folder} ({error.strerror}). "
                "Choose a folder that you may write to."
            ) from error
        if not _take(lock):
            owner = lock.read(32).decode(errors="replace").strip()
            lock.close()
            raise StoreError(
                f"Another embedded store (process {owner}) uses the folder {self.folder}. "
                "Use that one, stop it, or choose another folder."
            )
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n".encode())
        self._lock = lock

    def close(self) -> None:
        """Let the next one have it."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def spelled(self, name: ModelName) -> ModelName:
        """The name with each part spelled as an installed model spells it, if any does."""
        parts = {"host": name.host, "namespace": name.namespace, "model": name.model}
        parts["tag"] = name.tag
        for found in self.names():
            for part, value in parts.items():
                known: str = getattr(found, part)
                if known.lower() == value.lower():
                    parts[part] = known
        return ModelName(**parts)

    def write_manifest(self, name: ModelName, raw: bytes) -> None:
        """Install what `raw` lists; from now on the model is there."""
        path = self.manifest_path(name)
        with self._unfinished(self.manifests_folder) as (file, unfinished):
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
            file.close()
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished.replace(path)

    def copy(self, source: ModelName, destination: ModelName) -> None:
        """Give a model a second name; raises `FileNotFoundError` where there is no `source`."""
        raw = self.manifest_path(source).read_bytes()
        if source != destination:
            self.write_manifest(destination, raw)

    def delete_manifest(self, name: ModelName) -> None:
        """Forget a model, not its layers; raises `FileNotFoundError` where it is not there."""
        path = self.manifest_path(name)
        path.unlink()
        self._remove_empty(path.parent)

    def remove_unused(self, digests: Iterable[str]) -> None:
        """Delete those of the blobs that no installed model needs."""
        users = self.users_of()
        for digest in digests:
            if digest not in users:
                self.blob_path(digest).unlink(missing_ok=True)

    def add_blob(self, content: bytes) -> tuple[str, bool]:
        """Keep `content`; its digest, and whether it is new here."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        path = self.blob_path(digest)
        if path.is_file():
            os.utime(path)  # young again, so that it is not swept away before its manifest comes
            return digest, False
        with self._unfinished(self.blobs) as (file, unfinished):
            file.write(content)
            file.close()
            unfinished.replace(path)
        return digest, True

    @contextmanager
    def incoming(self) -> Iterator[tuple[BinaryIO, Path]]:
        """A file for a blob that arrives; it is gone afterwards unless it was moved."""
        with self._unfinished(self.blobs) as opened:
            yield opened

    def sweep(self, *, now: float | None = None) -> None:
        """Delete what no model needs and nobody is at work on, as a server does when it starts.

        Where any manifest is damaged, nothing is deleted: its layers are not known.
        """
        if _is_set("OLLAMA_NOPRUNE") or self.damaged():
            return
        users = self.users_of()
        until = (time.time() if now is None else now) - GRACE_SECONDS
        for path in self._files(self.blobs):
            if path.stat().st_mtime < until and path.name.replace("-", ":", 1) not in users:
                path.unlink(missing_ok=True)
        for folder in sorted(self.manifests_folder.rglob("*"), reverse=True):
            if folder.is_dir():
                self._remove_empty(folder)

    def _remove_empty(self, folder: Path) -> None:
        while folder != self.manifests_folder:
            try:
                folder.rmdir()
            except OSError:
                return  # something lies in it
            folder = folder.parent

    @contextmanager
    def _unfinished(self, folder: Path) -> Iterator[tuple[BinaryIO, Path]]:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=folder, prefix="sha256-")
        path = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                path.chmod(0o644)
                yield file, path
        except OSError as error:
            raise OSError(error.errno, error.strerror, error.filename or name) from error
        finally:
            path.unlink(missing_ok=True)


def _take(lock: FileIO) -> bool:
    """Lock a file for as long as it is open in this process, however that ends."""
    try:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415 - only there

            lock.seek(_LOCKED_BYTE)
            msvcrt.locking(lock.fileno(), msvcrt.LK_NBLCK, 1)
            lock.seek(0)
        else:
            import fcntl  # noqa: PLC0415 - only there

            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _is_set(variable: str) -> bool:
    """Whether a switch of the environment is on, as Go reads it: anything but a no."""
    value = os.environ.get(variable, "").strip().strip("'\"")
    return value not in ("", "0", "f", "F", "false", "False", "FALSE")
