"""The queue of pulls of this process, and the one end of each.

Ollama knows no job: a pull lives as long as somebody reads its stream. So this module owns the
reading tasks; `tally.py` makes a bar of the lines. A pull is done only on the server's `success`
*and* the model in its list; it ends as exactly one of done, failed, cancelled, interrupted.
"""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from modelwidgets import names
from modelwidgets.clock import Clock
from modelwidgets.errors import (
    ModelWidgetsError,
    NotEnoughSpaceError,
    PullFailedError,
    PullStoppedError,
)
from modelwidgets.records import (
    InstalledModel,
    Manifest,
    PullPhase,
    PullPlan,
    PullProgress,
    PullState,
    PullStep,
)
from modelwidgets.service import version_tuple
from modelwidgets.sizes import gb
from modelwidgets.stores.ollama import OllamaClient
from modelwidgets.tally import Speed, Tally

AT_ONCE = 2
STALLED_AFTER_SECONDS = 3.0
JOIN_RACE_SECONDS = 0.3
"""A pull that follows a stop within about a millisecond can join the dying download and be told
"context canceled"; after this long it cannot (protocol: 1 of 150 tries)."""
KEEP_DONE = timedelta(hours=1)
KEEPS_MANIFESTS_SINCE = (0, 19)
"""Older servers write a manifest of their own, whose digest no registry knows."""
LIVE: frozenset[PullState] = frozenset({"queued", "running"})


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
        self.state, self.error, self.proof = "running", None, None
        self.started_at, self.ended_at, self.position = self._clock.now(), None, None
        self.checking = True
        self.tally.begin()
        self._speed = Speed()
        self._moved_at = self._clock.monotonic()

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


class Pulls:
    """The pulls of this process: two at a time, the others wait, none is refused."""

    def __init__(
        self,
        *,
        plan: Planner,
        changed: Callable[[Pull], None],
        listed: Callable[[], None],
        finished: Callable[[Pull], None],
        clock: Clock | None = None,
        at_once: int = AT_ONCE,
    ) -> None:
        """`changed` is told of each change of a pull, `listed` when one comes or goes."""
        self._plan = plan
        self._changed = changed
        self._listed = listed
        self._finished = finished
        self._clock = clock or Clock()
        self._at_once = at_once
        self._pulls: dict[str, Pull] = {}
        self._queue: list[Pull] = []
        self._tasks: set[asyncio.Task[str]] = set()
        self._ticker: asyncio.Task[None] | None = None
        self._closed = False

    def __iter__(self) -> itertools.chain[Pull]:
        """Running first, then the queue in its order, then the ended, newest first."""
        pulls = list(self._pulls.values())  # at once: a cell may read while the loop writes
        running = [pull for pull in pulls if pull.state == "running"]
        ended = [pull for pull in pulls if pull.state not in LIVE]
        return itertools.chain(running, list(self._queue), reversed(ended))

    def __getitem__(self, pull_id: str) -> Pull:
        return self._pulls[pull_id]

    def get(self, pull_id: str) -> Pull | None:
        return self._pulls.get(pull_id)

    def of(self, name: str, url: str) -> Pull | None:
        """The waiting or running pull of a name to a server, whatever its spelling."""
        found = self._latest(name, url)
        return found if found is not None and found.state in LIVE else None

    def start(self, name: str, client: OllamaClient, *, force: bool = False) -> Pull:
        """Pull `name`, now or when its turn comes; a pull that is under way already is joined."""
        shown = str(names.parse(name))
        self._refuse_when_closed(shown)
        known = self._latest(shown, client.url)
        if known is not None and known.state in LIVE:
            known.force = known.force or force
            return known
        if known is not None and known.state != "done":
            known.client = client
            return self._requeue(known, force=force)
        if known is not None:
            del self._pulls[known.id]  # the model may be gone again: its bar begins anew
        pull = Pull(shown, client, self._clock, force=force, stop=self._stop)
        self._pulls[pull.id] = pull
        self._enqueue(pull)
        return pull

    def retry(self, pull_id: str, *, force: bool = False) -> Pull:
        """Try an ended pull again; it resumes at the bytes that the server kept."""
        pull = self._pulls[pull_id]
        return self.start(pull.name, pull.client, force=force)

    def stop(self, pull_id: str) -> Pull:
        """Stop by a person; stopping twice is no mistake."""
        pull = self._pulls[pull_id]
        self._stop(pull)
        return pull

    def dismiss(self, pull_id: str) -> None:
        """Take an ended pull off the list."""
        pull = self._pulls.get(pull_id)
        if pull is not None and pull.state not in LIVE:
            del self._pulls[pull_id]
            self._listed()

    def claimed_bytes(self, outlook: Outlook, url: str, *, of: Pull | None = None) -> int:
        """What the pulls before this one will still take on the disk of the server at `url`.

        For one that runs (`of`) these are the others that run; whoever still asks comes after those
        that wait, too. A layer that it needs itself is fetched once, so it does not count.
        """
        before = LIVE if of is None else {"running"}
        missing: dict[str, int] = {}
        for pull in self._pulls.values():
            if pull is not of and pull.state in before and pull.client.url == url:
                missing |= pull.missing()
        own = {layer.digest for layer in outlook.manifest.layers} if outlook.manifest else set()
        return sum(size for digest, size in missing.items() if digest not in own)

    async def wait(self, pull: Pull) -> PullProgress:
        """Wait for the end of a pull.

        Raises what made it fail, or `PullStoppedError`.
        """
        outcome = await asyncio.shield(pull.outcome)
        if outcome.error is not None:
            raise outcome.error
        if outcome.progress.state != "done":
            how = "stopped" if outcome.progress.state == "cancelled" else "interrupted"
            raise PullStoppedError(pull.name, how)
        return outcome.progress

    async def close(self) -> None:
        """End all pulls as interrupted; the server keeps their bytes."""
        self._closed = True
        queue, self._queue = self._queue, []
        for pull in queue:
            self._end(pull, "interrupted")
        tasks = [*self._tasks, *filter(None, [self._ticker])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _latest(self, name: str, url: str) -> Pull | None:
        """There is one pull at most of a name to a server: who asks again goes on with it."""
        for pull in self._pulls.values():
            if pull.client.url == url and names.same(pull.name, name):
                return pull
        return None

    def _refuse_when_closed(self, name: str) -> None:
        if self._closed:
            raise PullStoppedError(name, "interrupted")

    def _stop(self, pull: Pull) -> None:
        if pull.state not in LIVE:
            return
        if pull in self._queue:
            self._queue.remove(pull)
        elif pull.task is not None:
            pull.task.cancel()
        self._end(pull, "cancelled")

    def _enqueue(self, pull: Pull) -> None:
        self._queue.append(pull)
        self._renumber()
        self._listed()
        self._next()

    def _requeue(self, pull: Pull, *, force: bool) -> Pull:
        pull.force = pull.force or force
        pull.state, pull.error, pull.ended_at = "queued", None, None
        pull.outcome = asyncio.get_running_loop().create_future()
        self._enqueue(pull)
        return pull

    def _renumber(self) -> None:
        for position, pull in enumerate(self._queue, 1):
            if pull.position != position:
                pull.position = position
                self._changed(pull)

    def _next(self) -> None:
        running = sum(pull.state == "running" for pull in self._pulls.values())
        while self._queue and running < self._at_once:
            pull = self._queue.pop(0)
            pull.begin()
            earlier = set(pull.tasks)
            task = asyncio.get_running_loop().create_task(self._attempt(pull, earlier))
            pull.task = task
            for tasks in (pull.tasks, self._tasks):
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            task.add_done_callback(partial(self._settle, pull))
            self._changed(pull)
            running += 1
        self._renumber()
        if running and (self._ticker is None or self._ticker.done()):
            self._ticker = asyncio.get_running_loop().create_task(self._tick())

    def _settle(self, pull: Pull, task: asyncio.Task[str]) -> None:
        """The task of a pull has ended, one way or another (also before it ever ran)."""
        error = None if task.cancelled() else task.exception()
        if task is not pull.task or pull.state != "running":
            return  # a person's stop has ended it already
        if task.cancelled():
            self._end(pull, "interrupted")
        elif error is None:
            pull.proof = task.result()
            self._end(pull, "done")
        elif isinstance(error, ModelWidgetsError):
            self._end(pull, "failed", error)
        else:
            # a bug of ours must not leave a bar that never ends
            failure = PullFailedError(f"{type(error).__name__}: {error}")
            failure.__cause__ = error
            self._end(pull, "failed", failure)

    def _end(self, pull: Pull, state: PullState, error: ModelWidgetsError | None = None) -> None:
        pull.end(state, error)
        if not self._closed:
            self._next()
        self._listed()
        self._finished(pull)

    async def _attempt(self, pull: Pull, earlier: set[asyncio.Task[str]]) -> str:
        if earlier:
            await asyncio.wait(earlier)  # their connections are closed when they have ended
        outlook = await self._plan(pull.name, pull.client.url)
        claimed = self.claimed_bytes(outlook, pull.client.url, of=pull)
        plan = replace(outlook.plan, claimed_bytes=claimed)
        pull.know(replace(outlook, plan=plan))
        self._changed(pull)
        if not pull.force and _too_big(plan):
            raise NotEnoughSpaceError(plan)
        before = await self._listed_model(pull)
        try:
            await self._read(pull)
        except PullFailedError as error:
            if error.text != "context canceled":
                raise
            await self._clock.sleep(JOIN_RACE_SECONDS)
            await self._read(pull)
        return await self._prove(pull, before)

    async def _read(self, pull: Pull) -> None:
        insecure = names.parse(pull.name).loopback
        feed, changed = pull.feed, self._changed
        async with aclosing(pull.client.pull(pull.name, insecure=insecure)) as steps:
            async for step in steps:
                feed(step)
                changed(pull)

    async def _listed_model(self, pull: Pull) -> InstalledModel | None:
        for model in await pull.client.list_models():
            if names.same(model.name, pull.name):
                return model
        return None

    async def _prove(self, pull: Pull, before: InstalledModel | None) -> str:
        """Why this pull counts as done, or `PullFailedError`."""
        after = await self._listed_model(pull)
        if after is None:
            raise PullFailedError(
                f"The server said success, but does not list {pull.name}.",
                next_step="Look at the server's log, and pull again.",
            )
        got, expected = after.digest, pull.manifest.digest if pull.manifest else None
        if expected == got:
            return f"listed with the registry's digest {got[:12]}"
        if expected is not None and await _lists_as_the_registry(pull.client):
            # the tag may have moved since the plan was made
            manifest = (await self._plan(pull.name, pull.client.url)).manifest
            if manifest is not None and manifest.digest != got:
                raise PullFailedError(
                    f"The server said success, but lists {pull.name} as {got[:12]}, "
                    f"and in the registry it is {manifest.digest[:12]}.",
                    next_step="Pull again; where that does not help, look at the server's log.",
                )
            if manifest is not None:
                return f"listed with the registry's digest {got[:12]} (the tag moved)"
        if before is None:
            return f"listed, new, as {got[:12]}"
        if before.digest == got:
            return f"listed, unchanged, as {got[:12]}"
        if after.modified_at and before.modified_at and after.modified_at > before.modified_at:
            return f"listed with a newer date, as {got[:12]}"
        raise PullFailedError(
            f"The server said success, but still lists the older {pull.name}.",
            next_step="Look at the server's log, and pull again.",
        )

    async def _tick(self) -> None:
        """Once a second: what stands still is told so, and old ends leave the list."""
        while any(pull.state in ("running", "done") for pull in self._pulls.values()):
            await self._clock.sleep(1)
            for pull in list(self._pulls.values()):
                if pull.state == "running":
                    self._changed(pull)
            oldest = self._clock.now() - KEEP_DONE
            for pull in list(self._pulls.values()):
                if pull.state == "done" and pull.ended_at and pull.ended_at < oldest:
                    self.dismiss(pull.id)


class PullRows:
    """The pulls as rows of a page."""

    def __init__(self, pulls: Pulls) -> None:
        self._pulls = pulls

    def ids(self) -> list[str]:
        return [pull.id for pull in self._pulls]

    def row(self, row_id: str) -> PullProgress | None:
        pull = self._pulls.get(row_id)
        return None if pull is None else pull.progress()


async def _lists_as_the_registry(client: OllamaClient) -> bool:
    """Whether the server keeps the registry's manifest as it is, so that the digests agree."""
    version = version_tuple(await client.version())
    return version is not None and version >= KEEPS_MANIFESTS_SINCE


def _too_big(plan: PullPlan) -> bool:
    if plan.free_bytes is None or not plan.to_fetch_bytes:
        return False
    return plan.to_fetch_bytes + plan.reserve_bytes + plan.claimed_bytes > plan.free_bytes
