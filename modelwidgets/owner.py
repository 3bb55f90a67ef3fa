"""Which process owns a pull, told so that another one can see whether it still lives.

Why more than a pid: pids are given again, so the moment at which the process started belongs to
one. On Linux that is counted from the boot, which a clock that is set does not move (psutil's
`create_time` follows the clock, giampaolo/psutil issue 2526); so the boot has an id of its own.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

Fate = Literal["alive", "gone", "elsewhere"]
"""`elsewhere`: on another host (or in another container), whose processes cannot be seen."""

_SAME_START_SECONDS = 1.0
"""psutil rounds, and no pid comes again within a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A process, as no other one before or after it is."""

    host: str
    """Tells hosts that share a home folder apart, and containers from their host."""
    boot: str
    """Of that host; empty where the start of a process is a date and needs none."""
    pid: int
    started_seconds: float
    """Since the boot on Linux, else since 1970."""
    viewer: str
    """In words: `kernel on HOST`."""

    def __str__(self) -> str:
        return f"{self.viewer} (process {self.pid})"


class Processes:
    """The processes of this machine; a test plays others."""

    def started_seconds(self, pid: int) -> float | None:
        """When the process started; None where there is none, or only its remains."""
        return _started_seconds(pid)

    def me(self, viewer: str) -> Owner:
        """The process that asks."""
        pid = os.getpid()
        started = self.started_seconds(pid)
        return Owner(
            host=host_id(),
            boot=boot_id(),
            pid=pid,
            started_seconds=0.0 if started is None else started,
            viewer=viewer,
        )

    def fate(self, owner: Owner) -> Fate:
        """Whether the owner still lives."""
        if owner.host != host_id():
            return "elsewhere"
        if owner.boot != boot_id():
            return "gone"
        started = self.started_seconds(owner.pid)
        if started is None or abs(started - owner.started_seconds) > _SAME_START_SECONDS:
            return "gone"
        return "alive"


@cache
def host_id() -> str:
    """The same for all processes that see one another, and as far as can be for no others.

    Hashed, because a machine's id is not to be shown around (man 5 machine-id).
    """
    parts = (platform.node(), _text("/etc/machine-id"), _link("/proc/self/ns/pid"))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


@cache
def boot_id() -> str:
    """Another one after each boot."""
    return _text("/proc/sys/kernel/random/boot_id")


def _text(path: str) -> str:
    try:
        return Path(path).read_text("ascii").strip()
    except (OSError, ValueError):  # another system
        return ""


def _link(path: str) -> str:
    try:
        return str(Path(path).readlink())
    except OSError:  # another system
        return ""


if sys.platform == "linux":

    def _started_seconds(pid: int) -> float | None:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
        except OSError:
            return None
        # the name, in parentheses, may hold anything; man 5 proc_pid_stat
        state, *fields = stat.rpartition(")")[2].split()
        if state in ("Z", "X"):
            return None
        return int(fields[18]) / os.sysconf("SC_CLK_TCK")

else:

    def _started_seconds(pid: int) -> float | None:
        import psutil  # noqa: PLC0415 - takes 20 ms that only those who ask should pay

        try:
            process = psutil.Process(pid)
            if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
                return None
            return float(process.create_time())
        except psutil.Error:  # gone, or another user's by now
            return None
