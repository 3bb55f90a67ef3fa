"""The state that pages show: named slices, sent to doors when they change, never too often.

A server drops what a kernel sends beyond about 1,000 messages a second, silently, and a pull alone
makes 17 lines a second. So changes are only marked here, and a flush at most ten times a second
sends what is marked: whole slices, and of the rows that change all the time (pulls) one patch of
a kilobyte, with the changed fields of as many rows as fit. Marks stay until they are sent, so the
last state always arrives. Of a slice with very many rows of which few change (`fits`) these rows
are sent in the same way, each of them whole.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Protocol

from modelwidgets.plain_json import as_json

FLUSHES_PER_SECOND = 10
PATCH_BYTES = 900
"""What the rows of a patch may take; with its envelope it stays below a kilobyte."""
MOST_ROWS = 100
"""Where more rows of a slice have changed, sending all of it is sooner done."""

Message = dict[str, Any]
Send = Callable[[Message], None]


class Rows(Protocol):
    """The rows of the slice that is sent in patches, as they are at the moment of asking."""

    def ids(self) -> list[str]:
        """In the order of the page."""

    def row(self, row_id: str) -> Any | None:
        """The record, which has an `id`; None where there is no such row (any more)."""


class Slices:
    """Values by name, each with a revision; one more slice, `name`, has `rows` sent in patches."""

    def __init__(self, values: dict[str, Any], *, name: str, rows: Rows) -> None:
        self._values = values
        self._name = name
        self._rows = rows
        self._revs = dict.fromkeys([*values, name], 0)
        self._sent_rows: dict[str, dict[str, Any]] = {}
        self._changed: dict[str, dict[str, Any] | None] = {}
        """By name: the rows of it that changed, or None for all of it."""
        self._touched: dict[str, None] = {}
        self._relisted = False
        self._sends: list[Send] = []
        self._timer: asyncio.TimerHandle | None = None
        self._flushed_at = 0.0
        self._closed = False

    def __getitem__(self, name: str) -> Any:
        if name != self._name:
            return self._values[name]
        rows = [self._rows.row(row_id) for row_id in self._rows.ids()]
        return [row for row in rows if row is not None]  # one may go while a cell reads

    def set(self, name: str, value: Any) -> None:
        """Replace a slice; an equal value changes nothing."""
        if self._values[name] != value:
            self._values[name] = value
            self._changed[name] = None
            self._schedule()

    def set_rows(self, name: str, value: Any, rows: dict[str, Any]) -> None:
        """Replace a slice that differs from what it was in these rows only."""
        self._values[name] = value
        if rows:
            changed = self._changed.setdefault(name, {})
            if changed is not None:
                changed.update(rows)
                if len(changed) > MOST_ROWS:
                    self._changed[name] = None
            self._schedule()

    def relist(self) -> None:
        """Rows came, went or changed places."""
        self._relisted = True
        self._schedule()

    def touch(self, row_id: str) -> None:
        """A row changed."""
        self._touched[row_id] = None
        if self._timer is None:
            self._schedule()

    def subscribe(self, send: Send) -> Callable[[], None]:
        """Tell `send` of every change; gives back the way to stop that."""
        self._sends.append(send)
        return lambda: self._sends.remove(send) if send in self._sends else None

    def send_all(self, send: Send) -> None:
        """Give one door everything as it is now."""
        for name in self._revs:
            send(self._slice(name))

    def close(self) -> None:
        """Tell nobody any more.

        Not even of the end: a kernel that ends has stopped the thread that sends, and from two
        threads at once what is sent would be mixed up.
        """
        self._closed = True
        self._sends.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _schedule(self) -> None:
        if self._timer is None and not self._closed:
            loop = asyncio.get_running_loop()
            due = self._flushed_at + 1 / FLUSHES_PER_SECOND
            self._timer = loop.call_later(max(0.0, due - loop.time()), self._flush)

    def _flush(self) -> None:
        self._timer, self._flushed_at = None, asyncio.get_running_loop().time()
        changed, self._changed = self._changed, {}
        for name, rows in changed.items():
            self._revs[name] += 1
            self._tell(self._slice(name) if rows is None else self._patch(name, rows))
        if self._touched or self._relisted:
            self._send_patch()
        if self._touched or self._relisted or self._changed:
            self._schedule()

    def _patch(self, name: str, rows: dict[str, Any]) -> Message:
        """As many of the rows as fit; the others stay marked."""
        room = PATCH_BYTES
        sent: dict[str, Any] = {}
        for row_id in list(rows):
            row = as_json(rows[row_id])
            room -= len(json.dumps({row_id: row}))
            if room < 0 and sent:
                break
            sent[row_id] = row
            del rows[row_id]
        if rows:
            self._changed[name] = rows
        return {"op": "patch", "name": name, "rev": self._revs[name], "rows": sent}

    def _send_patch(self) -> None:
        """Send what has changed of the rows that have waited longest, as many as fit.

        Rows that are new come first and whole; once all are sent, the list of ids puts them in
        their places and takes off those that are gone.
        """
        ids = self._rows.ids() if self._relisted else []
        self._touched |= dict.fromkeys(row_id for row_id in ids if row_id not in self._sent_rows)
        patch: Message = {"op": "patch", "name": self._name, "rev": 0, "rows": {}}
        room = PATCH_BYTES
        for row_id in list(self._touched):
            fields = self._changed_fields(row_id)
            room -= len(json.dumps({row_id: fields}))
            if room < 0 and patch["rows"]:
                break  # the next patch has room for it
            del self._touched[row_id]
            if fields:
                patch["rows"][row_id] = fields
                self._sent_rows[row_id] = self._sent_rows.get(row_id, {}) | fields
        if (
            self._relisted
            and not self._touched
            and (room >= len(json.dumps(ids)) or not patch["rows"])
        ):
            patch["ids"], self._relisted = ids, False
            self._sent_rows = {row_id: self._sent_rows[row_id] for row_id in ids}
        if patch["rows"] or "ids" in patch:
            self._revs[self._name] += 1
            self._tell({**patch, "rev": self._revs[self._name]})

    def _changed_fields(self, row_id: str) -> dict[str, Any]:
        row = self._rows.row(row_id)
        if row is None:
            return {}
        before = self._sent_rows.get(row_id, {})
        now = as_json(row).items()
        return {key: value for key, value in now if key not in before or before[key] != value}

    def _slice(self, name: str) -> Message:
        return {"op": "slice", "name": name, "rev": self._revs[name], "value": as_json(self[name])}

    def _tell(self, message: Message) -> None:
        for send in list(self._sends):
            try:
                send(message)
            except Exception as error:  # noqa: BLE001 - one door's trouble is not the others'
                said = {"message": "a page could not be told of a change", "exception": error}
                asyncio.get_running_loop().call_exception_handler(said)
