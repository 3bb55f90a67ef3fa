"""The ways in which the sample registry misbehaves on request."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Literal

Place = Literal["manifests", "blobs", "storage", "token"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One way to misbehave, for all requests to a `place` or some of them."""

    place: Place = "storage"
    digest: str | None = None
    """Only requests for this blob."""
    times: int | None = None
    """Only the first so many requests that match; None means all."""
    status: int | None = None
    """Answer this instead, with `body`."""
    body: bytes = b'{"errors":[{"code":"SAMPLE","message":"asked to fail"}]}'
    wait_seconds: float = 0.0
    """Say nothing for so long before the answer."""
    cut_after_bytes: int | None = None
    """Close the connection properly after so many bytes of the answer's body."""
    reset_after_bytes: int | None = None
    """Reset the connection after so many bytes."""
    stall_after_bytes: int | None = None
    """Fall silent after so many bytes, until `Faults.release`."""
    corrupt_at_byte: int | None = None
    """Flip the bits of this byte of the blob."""
    ignore_range: bool = False
    """Send the whole blob under status 200."""
    no_redirect: bool = False
    """Send a blob at once instead of pointing to the storage."""


class Faults:
    """The switches, to be changed at any time; later requests and running answers obey."""

    def __init__(self) -> None:
        self.throttle_bytes_per_second: float | None = None
        """For all connections together."""
        self.token: str | None = None
        """Ask for this token, which the registry itself gives to anybody."""
        self.realm: str | None = None
        """Send clients elsewhere for the token."""
        self._faults: list[tuple[Fault, list[None]]] = []
        self._stalled: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    def add(self, fault: Fault) -> None:
        """Misbehave so from now on; where several faults match, the first one counts."""
        self._faults.append((fault, []))

    def clear(self) -> None:
        """Behave from now on, and let go of what stalls."""
        self._faults.clear()
        self.throttle_bytes_per_second = self.token = self.realm = None
        self.release()

    def release(self) -> None:
        """Let every answer that stalls go on; may be called from any thread."""
        for loop, event in list(self._stalled):
            loop.call_soon_threadsafe(event.set)

    async def stall(self) -> None:
        """Wait for the next `release`."""
        waiting = asyncio.get_running_loop(), asyncio.Event()
        self._stalled.add(waiting)
        try:
            await waiting[1].wait()
        finally:
            self._stalled.discard(waiting)

    def meet(self, place: Place, digest: str | None) -> Fault:
        """The fault for this request, which then counts as used once."""
        for fault, used in self._faults:
            if fault.place == place and fault.digest in (None, digest):
                if fault.times is None:
                    return fault
                if len(used) < fault.times:
                    used.append(None)
                    return fault
        return Fault(place=place)
