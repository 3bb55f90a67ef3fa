"""The queue of pulls of this process, and the one end of each.

Ollama knows no job: a pull lives as long as somebody reads its stream. So this module owns the
reading tasks; `tally.py` makes a bar of the lines, and `shared_pulls.py` tells other processes of
it. A pull is done only on the server's `success` *and* the model in its list; it ends as exactly
one of done, failed, cancelled, interrupted.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from functools import partial

from modelwidgets import names
from modelwidgets.clock import Clock
from modelwidgets.elsewhere import LIVE
from modelwidgets.errors import (
    ModelWidgetsError,
    NotEnoughSpaceError,
    PullFailedError,
    PullStoppedError,
)
from modelwidgets.one_pull import Outlook, Planner, Pull
from modelwidgets.proof import listed_model, prove
from modelwidgets.records import PullPlan, PullProgress, PullState
from modelwidgets.shared_pulls import SharedPulls
from modelwidgets.stores.ollama import OllamaClient

AT_ONCE = 2
JOIN_RACE_SECONDS = 0.3
"""A pull that follows a stop within about a millisecond can join the dying download and be told
"context canceled"; after this long it cannot (protocol: 1 of 150 tries)."""
KEEP_DONE = timedelta(hours=1)


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
        shared: SharedPulls | None = None,
    ) -> None:
        """`changed` is told of each change of a pull, `listed` when one comes or goes.

        `shared` tells other processes; without it nobody else knows of these pulls.
        """
        self._plan = plan
        self._changed = changed
        self._listed = listed
        self._finished = finished
        self._clock = clock or Clock()
        self._at_once = at_once
        self._shared = shared
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
            self._drop(known.id)  # the model may be gone again: its bar begins anew
        pull = Pull(shown, client, self._clock, force=force, stop=self._stop)
        self._pulls[pull.id] = pull
        self._enqueue(pull)
        return pull

    def stop(self, pull_id: str) -> Pull:
        """Stop by a person; stopping twice is no mistake."""
        pull = self._pulls[pull_id]
        self._stop(pull)
        return pull

    def dismiss(self, pull_id: str) -> None:
        """Take an ended pull off the list."""
        pull = self._pulls.get(pull_id)
        if pull is not None and pull.state not in LIVE:
            self._drop(pull_id)
            self._listed()

    def claimed_bytes(self, outlook: Outlook, url: str, *, of: Pull | None = None) -> int:
        """What the pulls before this one will still take on the disk of the server at `url`.

        For one that runs (`of`) these are the others that run; whoever still asks comes after those
        that wait, too. A layer that it needs itself is fetched once, so it does not count.
        """
        before = LIVE if of is None else frozenset[PullState]({"running"})
        missing = {} if self._shared is None else self._shared.missing(url, before)
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

    def _drop(self, pull_id: str) -> None:
        del self._pulls[pull_id]
        if self._shared is not None:
            self._shared.dismissed(pull_id)

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
        if self._shared is not None:
            self._shared.stopped(pull)
        self._end(pull, "cancelled")

    def _enqueue(self, pull: Pull) -> None:
        self._queue.append(pull)
        if self._shared is not None:
            self._shared.begun(pull)
        self._renumber()  # gives it a position, which is a change
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
        running = sum(
            pull.state == "running" and pull.elsewhere is None for pull in self._pulls.values()
        )
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
        elif isinstance(error, PullStoppedError):
            self._end(pull, "cancelled")  # by a person, in the process that ran it
        elif isinstance(error, ModelWidgetsError):
            self._end(pull, "failed", error)
        else:
            # a bug of ours must not leave a bar that never ends
            failure = PullFailedError(f"{type(error).__name__}: {error}")
            failure.__cause__ = error
            self._end(pull, "failed", failure)

    def _end(self, pull: Pull, state: PullState, error: ModelWidgetsError | None = None) -> None:
        pull.end(state, error)
        if self._shared is not None:
            self._shared.ended(pull)
        if not self._closed:
            self._next()
        self._changed(pull)
        self._listed()
        self._finished(pull)

    async def _attempt(self, pull: Pull, earlier: set[asyncio.Task[str]]) -> str:
        if earlier:
            await asyncio.wait(earlier)  # their connections are closed when they have ended
        if self._shared is not None:
            proof = await self._shared.come_to_own(pull)
            if proof is not None:
                return proof
        outlook = await self._plan(pull.name, pull.client.url)
        claimed = self.claimed_bytes(outlook, pull.client.url, of=pull)
        plan = replace(outlook.plan, claimed_bytes=claimed)
        pull.know(replace(outlook, plan=plan))
        self._changed(pull)
        if not pull.force and _too_big(plan):
            raise NotEnoughSpaceError(plan)
        before = await listed_model(pull)
        try:
            await self._read(pull)
        except PullFailedError as error:
            if error.text != "context canceled":
                raise
            await self._clock.sleep(JOIN_RACE_SECONDS)
            await self._read(pull)
        return await prove(pull, before, self._plan)

    async def _read(self, pull: Pull) -> None:
        insecure = names.parse(pull.name).loopback
        feed, changed = pull.feed, self._changed
        async with aclosing(pull.client.pull(pull.name, insecure=insecure)) as steps:
            async for step in steps:
                feed(step)
                changed(pull)

    async def _tick(self) -> None:
        """Once a second: what stands still is told so, and old ends leave the list."""
        while any(pull.state in ("running", "done") for pull in self._pulls.values()):
            await self._clock.sleep(1)
            for pull in list(self._pulls.values()):
                if pull.state == "running":
                    self._changed(pull)
            self._next()  # of those that ran, one may go along with another process by now
            oldest = self._clock.now() - KEEP_DONE
            for pull in list(self._pulls.values()):
                if pull.state == "done" and pull.ended_at and pull.ended_at < oldest:
                    self.dismiss(pull.id)


class PullRows:
    """The pulls as rows of a page, those of other processes after our own."""

    def __init__(self, pulls: Pulls, shared: SharedPulls) -> None:
        self._pulls = pulls
        self._shared = shared

    def ids(self) -> list[str]:
        return [*(pull.id for pull in self._pulls), *self._shared.ids()]

    def row(self, row_id: str) -> PullProgress | None:
        pull = self._pulls.get(row_id)
        return self._shared.get(row_id) if pull is None else pull.progress()


def _too_big(plan: PullPlan) -> bool:
    if plan.free_bytes is None or not plan.to_fetch_bytes:
        return False
    return plan.to_fetch_bytes + plan.reserve_bytes + plan.claimed_bytes > plan.free_bytes
