"""How a route of the embedded store says no."""

from __future__ import annotations


class RefusedError(Exception):
    """A request that is refused, with the status for it where nothing was sent before."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


class ServerError(RefusedError):
    """A failure on the way, as a server words it."""

    def __init__(self, text: str) -> None:
        super().__init__(text, status=500)
