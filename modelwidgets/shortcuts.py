"""The functions of the package, on the default session.

Each gives a handle: `installed("llama").result()` waits, `await installed("llama")` awaits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelwidgets.asks import Asks
from modelwidgets.loop import Handle
from modelwidgets.sessions import Session, session

if TYPE_CHECKING:
    from modelwidgets.manager import Manager
    from modelwidgets.records import ServiceStatus


class _Default(Asks):
    """Looks the session up at each call, so that a fork or a changed OLLAMA_HOST is seen."""

    @property
    def _session(self) -> Session:  # type: ignore[override]
        return session()

    def status(self) -> Handle[ServiceStatus]:
        """How the server is; a server that does not answer is an answer too."""

        async def ask(manager: Manager) -> ServiceStatus:
            return await manager.watch.look()

        return self._session.submit("status()", ask)


_default = _Default()
installed = _default.installed
running = _default.running
catalog = _default.catalog
details = _default.details
snippets = _default.snippets
status = _default.status
fit = _default.fit
fit_table = _default.fit_table
pull = _default.pull
delete = _default.delete
copy = _default.copy
add_entry = _default.add_entry
edit_entry = _default.edit_entry
remove_entry = _default.remove_entry
