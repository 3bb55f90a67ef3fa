"""The ledger: a folder in which the processes of a user tell each other of their pulls.

One small file a pull, with one writer, its owner; beside it the request of another process to stop
it, an empty file that the owner removes when it has heard. So there is neither lock nor daemon.

Why this holds on NFS too: a file is only ever replaced by a rename, which is atomic there
(RFC 1813, 3.3.14), so a reader sees the old or the new content, whole; who opens a file gets what
was there when its writer last closed it, while the names in a folder may be up to a minute old on
other hosts (man 5 nfs, "Data and metadata coherence"). Nothing is flushed to the disk: after a
power cut an entry may be missing or empty, and with it an offer to go on; no byte is lost.
"""

from __future__ import annotations

import itertools
import logging
import os
import re
import stat
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from modelwidgets.folders import state_folder
from modelwidgets.ledger_entry import LARGEST_BYTES, LedgerEntry, decode, encode
from modelwidgets.owner import Fate, Processes
from modelwidgets.shared_file import move

FOLDER = "pulls"
KEEP_ENDED_SECONDS = 3600.0
KEEP_INTERRUPTED_SECONDS = 7 * 86400.0
KEEP_BROKEN_SECONDS = 86400.0
KEEP_REQUEST_SECONDS = 60.0
MOST_ENDED = 100
_MOST_FILES = 10_000
_ENTRY = re.compile(r"([0-9a-f]{12})\.json")
_REQUEST = re.compile(r"([0-9a-f]{12})\.stop")
_TEMPORARY = re.compile(r"\.[0-9a-f]{12}\.tmp")

logger = logging.getLogger(__name__)
logger.addHandler(logging.NullHandler())  # no cell is to show what Python says for want of another


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the folder holds at one moment."""

    entries: Mapping[str, tuple[LedgerEntry, Fate]]
    """By id of the pull, each with what has become of its owner."""
    requests: frozenset[str]
    """The ids of pulls that somebody wants stopped."""


class Ledger:
    """The folder. All methods do file work at once, and raise `OSError` where that fails."""

    def __init__(self, folder: Path | None = None, processes: Processes | None = None) -> None:
        self.folder = folder or state_folder(create=False) / FOLDER
        self.processes = processes or Processes()
        self._read: dict[str, tuple[object, LedgerEntry | None]] = {}
        """By file name what it held, and a stamp of the file as it was then."""
        self._seen: set[object] = set()
        self._made = False

    def write(self, pull_id: str, entry: LedgerEntry) -> None:
        """Put an entry in the place of the one before it."""
        content = encode(entry)
        if not self._made:
            self._make_folder()
        temporary = self.folder / f".{pull_id}.tmp"  # as it has one writer, so has this
        try:
            _write(temporary, content)
        except FileNotFoundError:  # somebody cleaned up
            self._make_folder()
            _write(temporary, content)
        move(temporary, self._path(pull_id))

    def remove(self, pull_id: str) -> None:
        """Take an entry away, with what was asked of its owner."""
        self._path(pull_id).unlink(missing_ok=True)
        self.answer(pull_id)

    def claim(self, pull_id: str, new_id: str) -> bool:
        """Take over the entry of an owner that is gone; of several that try, one does.

        It goes on under the new id, so that it is never away, whatever happens meanwhile.
        """
        try:
            self._path(pull_id).replace(self._path(new_id))
        except FileNotFoundError:
            # Also what NFS may say of a rename that it did (man 2 rename, "Bugs"): then the entry
            # stands under the new id, its owner is gone as before, and the next look finds it.
            return False
        return True

    def ask_to_stop(self, pull_id: str) -> None:
        """Leave a request for the owner, who polls four times a second."""
        _write(self._path(pull_id, "stop"), b"")

    def answer(self, pull_id: str) -> None:
        """A request was heard."""
        self._path(pull_id, "stop").unlink(missing_ok=True)

    def look(self, own: Collection[str] = ()) -> Look:
        """Read what has changed; what cannot be read is left out, and logged once.

        The entries of these `own` ids are not read: who wrote them knows what they say.
        """
        found: dict[str, LedgerEntry] = {}
        requests: set[str] = set()
        read: dict[str, tuple[object, LedgerEntry | None]] = {}
        files = self._files()
        self._seen = self._stamps(files)
        for file in files:
            if entry_of := _ENTRY.fullmatch(file.name):
                if entry_of[1] in own:
                    continue
                read[file.name] = self._entry(file, entry_of[1])
                entry = read[file.name][1]
                if entry is not None:
                    found[entry_of[1]] = entry
            elif request := _REQUEST.fullmatch(file.name):
                requests.add(request[1])
        self._read = read
        fates = {key: (entry, self.processes.fate(entry.owner)) for key, entry in found.items()}
        return Look(entries=fates, requests=frozenset(requests))

    def has_news(self) -> bool:
        """Whether anything has changed since the last look; that an owner is gone is not seen."""
        try:
            return self._stamps(self._files()) != self._seen
        except OSError:  # a look will say so
            return False

    def sweep(self) -> None:
        """Remove what nobody needs any more: old ends and requests, rubbish, too many of them."""
        entries = self.look().entries
        ended: list[tuple[bool, float, Path]] = []
        now = time.time()
        for file in self._files():
            try:
                age = now - file.stat(follow_symlinks=False).st_mtime
            except OSError:  # it was removed meanwhile
                continue
            path = Path(file.path)
            keep = None
            if entry_of := _ENTRY.fullmatch(file.name):
                known = entries.get(entry_of[1])
                keep = KEEP_BROKEN_SECONDS if known is None else _keep_seconds(*known)
                if known is not None and keep is not None:
                    ended.append((keep < KEEP_INTERRUPTED_SECONDS, age, path))
            elif _REQUEST.fullmatch(file.name):
                keep = KEEP_REQUEST_SECONDS
            elif _TEMPORARY.fullmatch(file.name):
                keep = KEEP_ENDED_SECONDS
            if keep is not None and age > keep:
                _remove(path)
        for _, _, path in sorted(ended)[MOST_ENDED:]:  # what can be resumed is worth more
            _remove(path)

    def _files(self) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self.folder) as files:
                return list(itertools.islice(files, _MOST_FILES))
        except (FileNotFoundError, NotADirectoryError):
            return []

    @staticmethod
    def _stamps(files: list[os.DirEntry[str]]) -> set[object]:
        """A rename gives another inode, so these tell one content from the next."""
        return {(file.name, file.inode()) for file in files if not file.name.endswith(".tmp")}

    def _entry(self, file: os.DirEntry[str], pull_id: str) -> tuple[object, LedgerEntry | None]:
        stamp: object = None
        try:
            status = file.stat(follow_symlinks=False)
            stamp = (status.st_mtime_ns, status.st_size, file.inode())
            known = self._read.get(file.name)
            if known is not None and known[0] == stamp:
                return known
            return stamp, decode(_content(file.path), pull_id)
        except FileNotFoundError:
            return stamp, None
        except (OSError, ValueError) as error:
            logger.warning("The ledger entry %s is left out: %s", file.path, error)
            return stamp, None

    def _path(self, pull_id: str, kind: str = "json") -> Path:
        return self.folder / f"{pull_id}.{kind}"

    def _make_folder(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.name == "posix":
            status = self.folder.stat()
            if status.st_uid != os.geteuid():
                raise PermissionError(f"{self.folder} belongs to another user")
            if status.st_mode & 0o077:
                self.folder.chmod(0o700)
        self._made = True


def _keep_seconds(entry: LedgerEntry, fate: Fate) -> float | None:
    """How long an entry stays; None for one that is alive."""
    state = entry.progress.state
    if state == "interrupted" or (state in ("queued", "running") and fate != "alive"):
        return KEEP_INTERRUPTED_SECONDS
    return None if state in ("queued", "running") else KEEP_ENDED_SECONDS


def _write(path: Path, content: bytes) -> None:
    """Write a file that only the user can read; a link in its place is not followed."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)
    handle = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        left = memoryview(content)
        while left:
            left = left[os.write(handle, left) :]
    finally:
        os.close(handle)


def _content(path: str) -> bytes:
    """What a file holds; nothing else than a file of a sensible size is opened for long."""
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0)
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    handle = os.open(path, flags)
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is no file")
        if status.st_size > LARGEST_BYTES:
            raise ValueError(f"it is larger than {LARGEST_BYTES} bytes")
        return os.read(handle, LARGEST_BYTES)
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        logger.warning("%s stays in the ledger: %s", path, error)
