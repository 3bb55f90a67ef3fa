"""One pull: what is known of it, how far it is, and its one end."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from modelwidgets.clock import Clock
from modelwidgets.errors import ModelWidgetsError
from modelwidgets.records import Manifest, PullPhase, PullPlan, PullProgress, PullState, PullStep
from modelwidgets.sizes import gb
from modelwidgets.stores.ollama import OllamaClient
from modelwidgets.tally import Speed, Tally

STALLED_AFTER_SECONDS = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What is known of a pull before its first byte."""

    plan: PullPlan
    manifest: Manifest | None
    kept: Mapping[str, int]
    """Bytes in the store by digest; a layer's whole size means that it is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one attempt of a pull ended."""

    progress: PullProgress
    error: ModelWidgetsError | None


class Planner(Protocol):
    """Tells what a pull to the server at `url` would fetch; the manager's, who knows its disk."""

    def __call__(self, name: str, url: str) -> Awaitable[Outlook]: ...


class Pull:
    """One pull, from the queue to its end; a retry goes on with the same one."""

    def __init__(
        self,
        name: str,
        client: OllamaClient,
        clock: Clock,
        *,
        force: bool,
        stop: Callable[[Pull], object],
    ) -> None:
        self._stop = stop
        self.id = uuid.uuid4().hex[:12]
        self.name = name
        self.client = client
        self.force = force
        self.state: PullState = "queued"
        self.error: ModelWidgetsError | None = None
        self.proof: str | None = None
        self.plan: PullPlan | None = None
        self.manifest: Manifest | None = None
        self.created_at = clock.now()
        self.started_at: datetime | None = None
        self.ended_at: datetime | None = None
        self.position: int | None = None
        self.tally = Tally()
        self.elsewhere: PullProgress | None = None
        """The pull of another process that this one goes along with, as it was last seen."""
        self.checking = False
        self.tasks: set[asyncio.Task[str]] = set()
        """The attempt that runs, and stopped ones whose connection is still being closed."""
        self.task: asyncio.Task[str] | None = None
        self.outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        """The end of this attempt; a retry brings a new one."""
        self._clock = clock
        self._speed = Speed()
        self._moved_at = clock.monotonic()

    def stop(self) -> None:
        """Stop by a person; stopping twice is no mistake."""
        self._stop(self)

    def begin(self) -> None:
        """A new attempt: what was shown stays, so that the bar does not go back."""
        self.state, self.error, self.proof, self.elsewhere = "running", None, None, None
        self.started_at, self.ended_at, self.position = self._clock.now(), None, None
        self.checking = True
        self.tally.begin()
        self._speed = Speed()
        self._moved_at = self._clock.monotonic()

    def go_on(self, total_bytes: int | None, kept: Mapping[str, int]) -> None:
        """Take on what another process has seen of this pull, where that is more."""
        if sum(kept.values()) > self.tally.completed_bytes:
            self.manifest, self.tally = None, Tally.going_on(total_bytes, kept)

    def know(self, outlook: Outlook) -> None:
        """The plan is made: the bar gets its total.

        What an earlier attempt learnt stays where the registry says nothing new.
        """
        self.plan, self.checking = outlook.plan, False
        manifest, before = outlook.manifest, self.manifest
        if manifest is None or (before is not None and before.digest == manifest.digest):
            return
        kept = dict(outlook.kept)
        for digest, size in self.tally.kept.items():
            kept[digest] = max(size, kept.get(digest, 0))
        self.manifest, self.tally = manifest, Tally(manifest, kept)

    def missing(self) -> dict[str, int]:
        """Bytes still to come by digest, as far as the manifest is known."""
        kept = self.tally.kept
        layers = self.manifest.layers if self.manifest else ()
        return {layer.digest: layer.size_bytes - kept.get(layer.digest, 0) for layer in layers}

    def feed(self, step: PullStep) -> None:
        """Take in one line of the server."""
        at = self._clock.monotonic()
        if self.tally.feed(step):
            self._moved_at = at
        if at >= self._speed.next_at:
            self._speed.sample(at, self.tally.arrived_bytes)

    def end(self, state: PullState, error: ModelWidgetsError | None = None) -> None:
        """The one end of this attempt."""
        self.state, self.error, self.position = state, error, None
        self.checking = False
        self.ended_at = self._clock.now()
        if not self.outcome.done():
            self.outcome.set_result(Outcome(progress=self.progress(), error=error))

    @property
    def still_seconds(self) -> float:
        """For how long no byte has arrived."""
        return self._clock.monotonic() - self._moved_at

    @property
    def phase(self) -> PullPhase:
        if self.elsewhere is not None and self.state != "done":
            return self.elsewhere.phase
        if self.state in ("queued", "done"):
            return self.state
        if self.checking:
            return "checking"
        phase = self.tally.phase
        if phase == "done":
            return "writing"  # the server said so, and the list is still to prove it
        if self.state != "running":
            return phase
        moving = self.still_seconds < STALLED_AFTER_SECONDS
        return phase if moving or phase not in ("downloading", "retrying") else "stalled"

    def progress(self) -> PullProgress:
        """The record that travels."""
        if self.elsewhere is not None:
            return self._progress_elsewhere(self.elsewhere)
        phase, tally = self.phase, self.tally
        speed = eta = None
        if self.state == "running" and phase in ("downloading", "retrying"):
            speed = self._speed.bytes_per_second(self._clock.monotonic(), tally.arrived_bytes)
            if speed and tally.total_bytes is not None:
                eta = max(0, tally.total_bytes - tally.reached_bytes) / speed
        return PullProgress(
            id=self.id,
            name=self.name,
            url=self.client.url,
            state=self.state,
            phase=phase,
            status=self._words(phase),
            total_bytes=tally.total_bytes,
            completed_bytes=tally.completed_bytes,
            bytes_per_second=None if speed is None else round(speed),
            eta_seconds=None if eta is None else round(eta, 1),
            position=self.position,
            error=None if self.error is None else str(self.error),
            error_kind=None if self.error is None else type(self.error).__name__,
            digest=None if self.manifest is None else self.manifest.digest,
            proof=self.proof,
            plan=self.plan,
            created_at=self.created_at,
            started_at=self.started_at,
            ended_at=self.ended_at,
        )

    def _progress_elsewhere(self, seen: PullProgress) -> PullProgress:
        live = self.state == "running"
        return replace(
            seen,
            id=self.id,
            state=self.state,
            phase=self.phase,
            status=seen.status if live else self._words(self.phase),
            bytes_per_second=seen.bytes_per_second if live else None,
            eta_seconds=seen.eta_seconds if live else None,
            position=self.position,
            error=None if self.error is None else str(self.error),
            error_kind=None if self.error is None else type(self.error).__name__,
            proof=self.proof,
            created_at=self.created_at,
            started_at=self.started_at,
            ended_at=self.ended_at,
            owner=seen.owner if live else None,
        )

    def _words(self, phase: PullPhase) -> str:
        if self.state in ("failed", "cancelled", "interrupted", "done"):
            return {"cancelled": "stopped"}.get(self.state, self.state)
        match phase:
            case "queued":
                return "waiting"
            case "checking":
                return "asking the registry for the size"
            case "manifest":
                return "waiting for the manifest"
            case "stalled":
                return f"no bytes for {self.still_seconds:.0f} s, the server keeps trying"
            case "retrying":
                return f"retrying: the server fetches {gb(self.tally.behind_bytes)} again"
            case "verifying":
                return "verifying the SHA-256"
            case "writing" if self.tally.phase == "done":
                return "looking whether the server lists it"
            case "writing":
                return "writing the manifest"
        return phase
