"""The pulls of other processes, as their entries in the ledger tell of them."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from modelwidgets import names
from modelwidgets.errors import NotStoppedError
from modelwidgets.ledger import Ledger
from modelwidgets.ledger_entry import LedgerEntry
from modelwidgets.owner import Fate
from modelwidgets.records import PullProgress, PullState
from modelwidgets.stores.address import is_local

SILENT_SECONDS = 60.0
"""An owner on another host that has written nothing for so long is gone; they write every ten."""
SURELY_GONE = timedelta(hours=1)
"""The same by the dates, for who looks only once: no two clocks of a cluster are so far apart."""
STOP_SECONDS = 3.0
LIVE: frozenset[PullState] = frozenset({"queued", "running"})

Key = tuple[str, str, str]
"""What makes two pulls the same one: the model, the server, and whose loopback that is."""


def key_of(name: str, url: str, host: str) -> Key:
    """`host` tells one machine's loopback from another's; it says nothing of other servers."""
    return names.normalised(name), url, host if is_local(url) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Other:
    """A pull of another process."""

    id: str
    entry: LedgerEntry
    orphan: bool
    """Its owner is gone before it ended, so anybody may go on with it."""
    shown: PullProgress

    @property
    def key(self) -> Key:
        progress = self.entry.progress
        return key_of(progress.name, progress.url, self.entry.owner.host)

    @property
    def live(self) -> bool:
        return not self.orphan and self.entry.progress.state in LIVE


def other_of(entry: LedgerEntry, fate: Fate, now: datetime, silent_seconds: float = 0.0) -> Other:
    """What an entry tells of its pull; `silent_seconds` is for how long it was seen unchanged."""
    state = entry.progress.state
    gone = fate == "gone"
    if fate == "elsewhere":
        gone = silent_seconds > SILENT_SECONDS or now - entry.written_at > SURELY_GONE
    orphan = state == "interrupted" or (state in LIVE and gone)
    if orphan:
        shown = _interrupted(entry)
    elif state in LIVE:
        shown = replace(entry.progress, owner=str(entry.owner))
    else:
        shown = entry.progress
    return Other(id=entry.progress.id, entry=entry, orphan=orphan, shown=shown)


def listed(ledger: Ledger, now: datetime) -> list[PullProgress]:
    """All pulls of the user: those that run first, then those that wait, then what has ended."""
    looked = ledger.look().entries.values()
    found = [other_of(entry, fate, now).shown for entry, fate in looked]
    order = ("running", "queued", "interrupted")
    return sorted(
        found,
        key=lambda pull: (
            order.index(pull.state) if pull.state in order else len(order),
            pull.created_at,
        ),
    )


def stop(ledger: Ledger, pull_ids: Iterable[str], within_seconds: float = STOP_SECONDS) -> None:
    """Ask the owners of these pulls to stop them, and wait until they have.

    Raises `NotStoppedError` where one did not hear.
    """
    waited_for = set(pull_ids)
    try:
        for pull_id in waited_for:
            ledger.ask_to_stop(pull_id)
    except OSError as error:
        raise NotStoppedError(f"The pull could not be stopped: {error}.") from error
    give_up = time.monotonic() + within_seconds
    while True:
        entries = ledger.look().entries
        left = [
            entries[pull_id][0]
            for pull_id in waited_for
            if pull_id in entries
            and entries[pull_id][0].progress.state in LIVE
            and entries[pull_id][1] != "gone"
        ]
        if not left:
            for pull_id in waited_for:  # one that had ended before has nobody to hear it
                ledger.answer(pull_id)
            return
        if time.monotonic() >= give_up:
            first = left[0]
            raise NotStoppedError(
                f"The {first.owner} has not stopped the pull of {first.progress.name} within "
                f"{within_seconds:g} s. It was asked to, and does so as soon as it hears."
            )
        time.sleep(0.05)


def stop_named(ledger: Ledger, wanted: Iterable[str], now: datetime) -> list[PullProgress]:
    """Stop the pulls of these names, whoever runs them, and give them as they ended.

    Raises `NotStoppedError` where a name is not being pulled, before any is stopped.
    """
    live = [pull for pull in listed(ledger, now) if pull.state in LIVE]
    stopping: dict[str, PullProgress] = {}
    for name in wanted:
        found = {pull.id: pull for pull in live if names.same(pull.name, name)}
        if not found:
            raise NotStoppedError(
                f"No pull of {names.parse(name)} is under way. `modelwidgets pulls` shows them."
            )
        stopping |= found
    stop(ledger, stopping)
    ended = {pull.id: pull for pull in listed(ledger, now)}
    return [ended.get(pull_id, pull) for pull_id, pull in stopping.items()]


def _interrupted(entry: LedgerEntry) -> PullProgress:
    progress = entry.progress
    return replace(
        progress,
        state="interrupted",
        status="interrupted",
        bytes_per_second=None,
        eta_seconds=None,
        position=None,
        ended_at=progress.ended_at or entry.written_at,
    )
