"""Work that goes on beside everything else, until it ends or its owner does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from modelwidgets.errors import ModelWidgetsError

T = TypeVar("T")


class Background:
    """Keeps tasks and ends them; something that nobody foresaw is told, never swallowed."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        """`tell` gets a sentence about what happened."""
        self._tell = tell
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, T], failed: str) -> asyncio.Task[T]:
        """Begin `work`; `failed` begins the sentence if something unforeseen happens.

        What was foreseen is told by the work itself, or to who waits for it.
        """
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)

        def ended(task: asyncio.Task[T]) -> None:
            self._tasks.discard(task)
            error = None if task.cancelled() else task.exception()
            if error is not None and not isinstance(error, ModelWidgetsError):
                self._tell(f"{failed}: {described(error)}")

        task.add_done_callback(ended)
        return task

    async def close(self) -> None:
        """Cancel what is left and wait for its end."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def described(error: BaseException) -> str:
    """An error in words; one that nobody foresaw with its kind, so that it can be reported."""
    known = isinstance(error, ModelWidgetsError)
    return str(error) if known else f"{type(error).__name__}: {error}"
