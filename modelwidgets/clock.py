"""Time, from one place, so that tests of retries and stalls need not wait."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime


class Clock:
    """The real time; a test hands in its own."""

    def monotonic(self) -> float:
        """Seconds that never run backwards, for durations."""
        return time.monotonic()

    def now(self) -> datetime:
        """The date, aware, in UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Wait without blocking the loop."""
        await asyncio.sleep(seconds)
