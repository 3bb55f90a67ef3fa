"""One truth across processes: tells others of our pulls, shows theirs, and lets no pull run twice.

Who comes to run a pull draws a ticket, as in Lamport's bakery (Communications of the ACM 17, 8):
it writes that it draws, takes a number above all that it sees, writes it, and waits for others that
draw; of the same pull, the process with the lowest ticket has it, and the others go along with it.
That needs nothing but files with one writer each.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import Future
from functools import partial
from typing import TypeVar

from modelwidgets.background import Background
from modelwidgets.clock import Clock
from modelwidgets.elsewhere import LIVE, Key, Other, key_of, other_of
from modelwidgets.elsewhere import stop as stop_there
from modelwidgets.errors import PullFailedError, PullStoppedError
from modelwidgets.ledger import Ledger, Look
from modelwidgets.ledger_entry import LedgerEntry
from modelwidgets.ledger_thread import LedgerThread
from modelwidgets.one_pull import Pull
from modelwidgets.records import PullProgress, PullState

T = TypeVar("T")
LOOK_SECONDS = 1.0
"""So often it is looked whether owners still live, and told how far ours are; news come sooner."""
PROGRESS_SECONDS = 0.9
HEARTBEAT_SECONDS = 10.0
"""Also a pull that stands still is told of so often, for other hosts, which see no processes."""
DRAWING_SECONDS = 1.0
"""Nobody waits longer for a process that draws its ticket: it may have been suspended."""
SWEEP_SECONDS = 600.0
CLOSE_SECONDS = 2.0


class SharedPulls:
    """The pulls of this process in the ledger, and those of others."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        viewer: str,
        clock: Clock,
        background: Background,
        own: Callable[[], Iterable[Pull]],
        seen: Callable[[], bool],
        changed: Callable[[str], None],
        listed: Callable[[], None],
        interrupted: Callable[[PullProgress], None],
        failed: Callable[[OSError], None],
    ) -> None:
        """`own` are the pulls of this process; `seen` says whether a page shows those of others.

        `changed` is told of each change of a pull, `listed` when one comes or goes, `interrupted`
        of one that can be resumed because its owner is gone, `failed` once why no file is written.
        """
        self._ledger = ledger
        self._changed = changed
        self._listed = listed
        self._interrupted = interrupted
        self._failed = failed
        self._me = ledger.processes.me(viewer)
        self._clock = clock
        self._background = background
        self._own = own
        self._seen = seen
        self._thread = LedgerThread(ledger, self._news_came)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news = asyncio.Event()
        self._tickets: dict[str, int] = {}
        """Of our pulls that run here."""
        self._written: dict[str, tuple[object, float, int]] = {}
        """State, moment and bytes at the last writing, by id."""
        self._others: dict[str, Other] = {}
        self._heard: dict[str, tuple[object, float]] = {}
        self._watched: set[str] = set()
        """Those of others that were seen alive, whose end is shown too."""
        self._dismissed: dict[str, object] = {}
        """With the date of what was dismissed, which a look under way may still bring."""
        self._announced: set[str] = set()
        self._shown: dict[str, PullProgress] = {}
        self._looked = asyncio.Event()
        """Set by the next look, and then another one."""
        self._keeping: asyncio.Task[None] | None = None
        self._sweep_at = 0.0
        self._complained = False
        self._closed = False

    # What others do

    def ids(self) -> list[str]:
        """The pulls of others that are shown beside our own."""
        return list(self._shown)

    def get(self, pull_id: str) -> PullProgress | None:
        return self._shown.get(pull_id)

    def of(self, name: str, url: str) -> PullProgress | None:
        """The waiting or running pull of a name by another process."""
        key = key_of(name, url, self._me.host)
        return next(
            (one.shown for one in self._others.values() if one.live and one.key == key), None
        )

    def missing(self, url: str, states: Collection[PullState]) -> dict[str, int]:
        """What others' pulls in these states will still fetch to the server at `url`, by digest."""
        missing: dict[str, int] = {}
        for one in self._others.values():
            progress = one.entry.progress
            if one.key == key_of(progress.name, url, self._me.host) and one.live:
                missing |= one.entry.missing if progress.state in states else {}
        return missing

    async def stop(self, pull_id: str) -> None:
        """Have another process stop its pull; raises `NotStoppedError`."""
        ledger = Ledger(self._ledger.folder, self._ledger.processes)
        await asyncio.to_thread(stop_there, ledger, [pull_id])
        await self.look()

    def dismiss(self, pull_id: str) -> None:
        """Take away an ended pull of a process that may be gone."""
        if pull_id in self._shown and self._shown[pull_id].state not in LIVE:
            self._dismissed[pull_id] = self._others.pop(pull_id).entry.written_at
            self._submit(partial(self._ledger.remove, pull_id))
            self._show()

    # What we do

    def wake(self) -> None:
        """There is something to tell, or somebody to see it."""
        if not self._closed and (self._keeping is None or self._keeping.done()):
            work = self._keep()
            self._keeping = self._background.start(work, "Other programs' pulls are not seen")

    def begun(self, pull: Pull) -> None:
        """A pull of ours is new, or tried again: that of another process is its by now."""
        self._submit(partial(self._ledger.answer, pull.id))  # it was to stop an earlier attempt
        self._show()
        self.wake()

    async def come_to_own(self, pull: Pull) -> str | None:
        """Wait until the pull is ours to run, or done elsewhere: then why that counts.

        Raises `PullFailedError` and `PullStoppedError` as it ends elsewhere.
        """
        while True:
            try:
                other_id = await self._enter(pull)
            except OSError as error:
                self._complain(error)
                self._tickets[pull.id], pull.elsewhere = 1, None
                return None
            if other_id is None:
                return None
            proof = await self._go_along(pull, other_id)
            if proof is not None:
                return proof

    def stopped(self, pull: Pull) -> None:
        """A person stopped it here: its owner is to hear."""
        if pull.elsewhere is not None:
            self._submit(partial(self._ledger.ask_to_stop, pull.elsewhere.id))

    def ended(self, pull: Pull) -> None:
        """A pull of ours has ended."""
        self._forget(pull.id)
        if pull.elsewhere is None:
            self._submit(partial(self._ledger.write, pull.id, self._entry(pull, 0)))

    def dismissed(self, pull_id: str) -> None:
        """A pull of ours is listed no longer."""
        self._forget(pull_id)
        self._submit(partial(self._ledger.remove, pull_id))

    async def look(self) -> None:
        """Tell what is new of ours, and see what is new of others."""
        now = self._clock.monotonic()
        sweep, due = now >= self._sweep_at, self._due(now)
        if sweep:
            self._sweep_at = now + SWEEP_SECONDS
        own = {pull.id for pull in self._own()}
        try:
            look, trouble = await self._thread.run(partial(self._turn, due, own, sweep=sweep))
        except OSError as error:
            self._complain(error)
            return
        if trouble is not None:
            self._complain(trouble)
        self._take(look)
        looked, self._looked = self._looked, asyncio.Event()
        looked.set()

    async def close(self) -> None:
        """Write what is still to be written; no pull is ours any more."""
        self._closed = True
        with contextlib.suppress(TimeoutError):  # a folder on a server that is away
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._thread.run(lambda: None)
        self._thread.close()

    # How it is done

    async def _keep(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread.watching = True
        try:
            while True:
                self._news.clear()
                await self.look()
                if not self._seen() and not any(pull.state in LIVE for pull in self._own()):
                    return
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_SECONDS):
                        await self._news.wait()
        finally:
            self._thread.watching = False

    def _news_came(self) -> None:
        """On the thread of the ledger."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                self._loop.call_soon_threadsafe(self._news.set)

    def _due(self, now: float) -> list[tuple[str, LedgerEntry]]:
        due = []
        for pull in self._own():
            ours = pull.state == "queued" or (pull.state == "running" and pull.id in self._tickets)
            if not ours:
                continue
            state, done = (pull.state, pull.phase, pull.position), pull.tally.completed_bytes
            last_state, written, last_done = self._written.get(pull.id, (None, 0.0, 0))
            wait = HEARTBEAT_SECONDS if done == last_done else PROGRESS_SECONDS
            if state != last_state or now - written >= wait:
                self._written[pull.id] = state, now, done
                due.append((pull.id, self._entry(pull, self._tickets.get(pull.id, 0))))
        return due

    def _turn(
        self, due: list[tuple[str, LedgerEntry]], own: set[str], *, sweep: bool
    ) -> tuple[Look, OSError | None]:
        trouble = None
        for pull_id, entry in due:
            try:
                self._ledger.write(pull_id, entry)
            except OSError as error:
                trouble = error
        if sweep:
            self._ledger.sweep()
        return self._ledger.look(own), trouble

    def _take(self, look: Look) -> None:
        own = {pull.id: pull for pull in self._own()}
        for pull_id in look.requests & own.keys():
            own[pull_id].stop()
            self._submit(partial(self._ledger.answer, pull_id))
        now, date = self._clock.monotonic(), self._clock.now()
        others: dict[str, Other] = {}
        heard: dict[str, tuple[object, float]] = {}
        for pull_id, (entry, fate) in look.entries.items():
            if self._dismissed.get(pull_id) == entry.written_at:
                continue
            written, since = self._heard.get(pull_id, (None, now))
            heard[pull_id] = written, since = (
                entry.written_at,
                (since if written == entry.written_at else now),
            )
            others[pull_id] = other_of(entry, fate, date, now - since)
        self._others, self._heard = others, heard
        self._watched = {
            pull_id for pull_id, one in others.items() if one.live or pull_id in self._watched
        }
        self._show()

    def _show(self) -> None:
        """Work out what is shown of others, and tell what changed of it."""
        before, self._shown = self._shown, self._to_show()
        if list(before) != list(self._shown):
            self._listed()
        for pull_id, progress in self._shown.items():
            if before.get(pull_id) != progress:
                self._changed(pull_id)
            if progress.state == "interrupted" and pull_id not in self._announced:
                self._announced.add(pull_id)
                self._interrupted(progress)

    def _to_show(self) -> dict[str, PullProgress]:
        pulls = list(self._own())
        along = {pull.elsewhere.id for pull in pulls if pull.elsewhere is not None}
        ours = {self._key(pull) for pull in pulls if pull.state in LIVE}
        known = ours | {one.key for one in self._others.values() if one.live}
        shown = {}
        for one in sorted(self._others.values(), key=_newest_first):
            if one.live:
                show = one.key not in ours
            elif one.orphan:
                show = one.key not in known and self._could_be_ours(one)
                known.add(one.key)  # an earlier one of the same model is no second offer
            else:
                show = one.id in self._watched and one.id not in along and one.key not in known
            if show:
                shown[one.id] = one.shown
        return shown

    def _could_be_ours(self, one: Other) -> bool:
        """The loopback of another host is no server that we could pull with."""
        return one.key == key_of(one.shown.name, one.shown.url, self._me.host)

    async def _enter(self, pull: Pull) -> str | None:
        """Draw a ticket; the id of the pull that comes before ours, or None: ours runs."""
        key = self._key(pull)
        self._tickets.pop(pull.id, None)
        await self.look()
        for one in [one for one in self._others.values() if one.orphan and one.key == key]:
            if await self._thread.run(partial(self._ledger.claim, one.id, pull.id)):
                pull.go_on(one.shown.total_bytes, one.entry.kept)
        await self._write(pull, 0)
        await self.look()
        ticket = 1 + max((one.entry.ticket for one in self._rivals(key)), default=0)
        await self._write(pull, ticket)
        give_up = time.monotonic() + DRAWING_SECONDS
        await self.look()
        while not all(one.entry.ticket for one in self._rivals(key)):
            if time.monotonic() >= give_up:
                break
            await asyncio.sleep(0.02)
            await self.look()
        ahead = [
            (one.entry.ticket, one.id)
            for one in self._rivals(key)
            if one.entry.ticket and (one.entry.ticket, one.id) < (ticket, pull.id)
        ]
        if not ahead:
            self._tickets[pull.id], pull.elsewhere = ticket, None
            return None
        await self._thread.run(partial(self._ledger.remove, pull.id))
        return min(ahead)[1]

    async def _go_along(self, pull: Pull, other_id: str) -> str | None:
        """Show the pull of another process as this one until it ends; None: its owner is gone."""
        while (other := self._others.get(other_id)) is not None and not other.orphan:
            pull.elsewhere = other.shown
            pull.go_on(other.shown.total_bytes, other.entry.kept)
            self._changed(pull.id)
            match other.shown.state:
                case "done":
                    return f"{other.shown.proof or 'listed'} (pulled by the {other.entry.owner})"
                case "failed":
                    raise PullFailedError(other.shown.error or "It failed in another program.")
                case "cancelled":
                    raise PullStoppedError(pull.name, "stopped")
            await self._looked.wait()
        return None

    def _rivals(self, key: Key) -> list[Other]:
        return [
            one
            for one in self._others.values()
            if one.live and one.entry.progress.state == "running" and one.key == key
        ]

    def _key(self, pull: Pull) -> Key:
        return key_of(pull.name, pull.client.url, self._me.host)

    def _entry(self, pull: Pull, ticket: int) -> LedgerEntry:
        return LedgerEntry(
            owner=self._me,
            ticket=ticket,
            written_at=self._clock.now(),
            progress=pull.progress(),
            kept=pull.tally.kept,
            missing=pull.missing(),
        )

    async def _write(self, pull: Pull, ticket: int) -> None:
        await self._thread.run(partial(self._ledger.write, pull.id, self._entry(pull, ticket)))

    def _forget(self, pull_id: str) -> None:
        self._tickets.pop(pull_id, None)
        self._written.pop(pull_id, None)

    def _complain(self, error: OSError) -> None:
        if not self._complained:
            self._complained = True
            self._failed(error)

    def _submit(self, work: Callable[[], None]) -> None:
        """Work that nobody waits for."""
        loop = asyncio.get_running_loop()

        def failed(done: Future[None]) -> None:
            error = done.exception()
            if isinstance(error, OSError):
                with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                    loop.call_soon_threadsafe(self._complain, error)

        self._thread.submit(work).add_done_callback(failed)


def _newest_first(one: Other) -> float:
    return -one.entry.written_at.timestamp()
