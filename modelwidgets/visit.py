"""A page at a manager: what it asks, and what it hears until it leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from modelwidgets.commands import carry_out

if TYPE_CHECKING:
    from modelwidgets.manager import Manager
    from modelwidgets.slices import Send


class Visit:
    """Of one door's page, on the loop of its manager.

    A page may leave while its manager is still being made, or while a call of it is under way. What
    it called goes on then, and it is told of nothing and counted as seen no more.
    """

    def __init__(self, take: Send) -> None:
        """`take` is told of every change."""
        self.manager: Manager | None = None
        self._take = take
        self._stop: Callable[[], None] | None = None
        self._left = False

    def join(self, manager: Manager) -> None:
        """Hear of changes from now on."""
        if self.manager is None:
            self.manager = manager
            self._stop = manager.slices.subscribe(self._take)
        self._settle()

    async def carry_out(
        self, manager: Manager, method: str, params: dict[str, Any], send: Send
    ) -> Any:
        """Do what the page asks; with its first call it has joined."""
        self.join(manager)
        try:
            return await carry_out(manager, method, params, door=self, send=send)
        finally:
            self._settle()

    def leave(self) -> None:
        """Hear nothing any more, and be seen no more."""
        self._left = True
        self._settle()

    def _settle(self) -> None:
        if self._left and self.manager is not None and self._stop is not None:
            self._stop()
            self.manager.watch.forget(self)
