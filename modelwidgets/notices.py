"""What the user should know, the latest first; each thing is said once."""

from __future__ import annotations

import itertools

from modelwidgets.clock import Clock
from modelwidgets.records import Action, Notice, NoticeKind
from modelwidgets.slices import Slices

KEPT = 50


class Notices:
    """The slice `notices`."""

    def __init__(self, slices: Slices, clock: Clock) -> None:
        self._slices = slices
        self._clock = clock
        self._numbers = itertools.count(1)

    def __iter__(self) -> itertools.chain[Notice]:
        return itertools.chain(self._slices["notices"])

    def tell(self, kind: NoticeKind, text: str, *actions: Action, about: str | None = None) -> None:
        """Tell the user; a later notice about the same thing replaces the earlier one.

        It has an id of its own, so that a page says it too; the same again is not said again.
        What went well stays until there is other news: what is true by now stands in the lists.
        """
        said = (kind, text, actions)
        if any(said == (one.kind, one.text, one.actions) for one in self._about(about)):
            return
        number = next(self._numbers)
        notice = Notice(
            id=f"{about}/{number}" if about else str(number),
            kind=kind,
            text=text,
            actions=actions,
            at=self._clock.now(),
        )
        earlier = self._about(about)
        if kind in ("success", "info"):
            earlier += [one for one in self if one.kind == "success"]
        others = [one for one in self if one not in earlier]
        self._slices.set("notices", [notice, *others][:KEPT])

    def dismiss(self, notice_id: str) -> None:
        """Take a notice off the page."""
        self._slices.set("notices", [one for one in self if one.id != notice_id])

    def forget(self, about: str) -> None:
        """Take off what was said about something that is gone, because its buttons need it."""
        gone = self._about(about)
        self._slices.set("notices", [one for one in self if one not in gone])

    def _about(self, about: str | None) -> list[Notice]:
        return [one for one in self if about and one.id.startswith(f"{about}/")]
