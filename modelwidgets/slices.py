"""The state that pages show: named slices, sent to doors when they change, never too often.

A server drops what a kernel sends beyond about 1,000 messages a second, silently, and a pull alone
makes 17 lines a second. So changes are only marked here, and a flush at most ten times a second
sends what is marked: whole slices, and of the rows that change all the time (pulls) one row's
changed fields a flush. Marks stay until they are sent, so the last state always arrives.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from modelwidgets.records import as_json

FLUSHES_PER_SECOND = 10
MANY_ROWS = 8
"""From so many changed rows on, one whole slice is the smaller message."""

Message = dict[str, Any]
Send = Callable[[Message], None]


class Slices:
    """Values by name, each with a revision; one slice, `rows`, is sent in patches."""

    def __init__(
        self, values: dict[str, Any], *, rows: str, read_rows: Callable[[], Iterable[Any]]
    ) -> None:
        """`read_rows` gives the current records of the slice `rows`, each with an `id`."""
        self._values = values
        self._rows = rows
        self._read_rows = read_rows
        self._revs = dict.fromkeys([*values, rows], 0)
        self._sent_rows: dict[str, dict[str, Any]] = {}
        self._changed: dict[str, None] = {}
        self._touched: dict[str, None] = {}
        self._sends: list[Send] = []
        self._timer: asyncio.TimerHandle | None = None
        self._flushed_at = 0.0
        self._closed = False

    def __getitem__(self, name: str) -> Any:
        return list(self._read_rows()) if name == self._rows else self._values[name]

    def set(self, name: str, value: Any) -> None:
        """Replace a slice; an equal value changes nothing."""
        if self._values[name] != value:
            self._values[name] = value
            self._changed[name] = None
            self._schedule()

    def relist(self) -> None:
        """Rows came or went: the whole slice is sent."""
        self._changed[self._rows] = None
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
        if len(self._touched) >= MANY_ROWS:
            self._changed[self._rows] = None
        if self._rows in self._changed:
            self._touched.clear()
        names, self._changed = list(self._changed), {}
        for name in names:
            self._revs[name] += 1
            message = self._slice(name)
            if name == self._rows:
                self._sent_rows = {row["id"]: row for row in message["value"]}
            self._tell(message)
        if self._touched and self._rows not in names:
            self._send_patch()
        if self._touched:
            self._schedule()

    def _send_patch(self) -> None:
        """Send the changed fields of the row that has waited longest."""
        rows = {row.id: row for row in self._read_rows()}
        while self._touched:
            row_id = next(iter(self._touched))
            del self._touched[row_id]
            row = rows.get(row_id)
            if row is None:
                continue
            now, before = as_json(row), self._sent_rows.get(row_id, {})
            fields = {key: value for key, value in now.items() if before.get(key) != value}
            if fields:
                self._sent_rows[row_id] = now
                self._revs[self._rows] += 1
                rev = self._revs[self._rows]
                patch = {"op": "patch", "name": self._rows, "rev": rev, "key": row_id}
                self._tell({**patch, "fields": fields})
                return

    def _slice(self, name: str) -> Message:
        return {"op": "slice", "name": name, "rev": self._revs[name], "value": as_json(self[name])}

    def _tell(self, message: Message) -> None:
        for send in list(self._sends):
            try:
                send(message)
            except Exception as error:  # noqa: BLE001 - one door's trouble is not the others'
                said = {"message": "a page could not be told of a change", "exception": error}
                asyncio.get_running_loop().call_exception_handler(said)
