"""What a page may make this process do.

In a kernel the page is the user's own cell, and everything is allowed. A Jupyter server acts for
whoever holds its page, from a place in the network where others may not be, so there only the
servers and registries that its configuration names are spoken to.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from modelwidgets.errors import NotAllowedError
from modelwidgets.stores.address import address, is_local

USUAL_REGISTRIES = (
    "registry.ollama.ai",
    "ollama.com",
    "*.r2.cloudflarestorage.com",  # where Ollama's registry keeps its blobs
    "hf.co",
    "huggingface.co",
    "*.hf.co",  # the same of these two
    "*.huggingface.co",
)
CHANGES = frozenset(
    {
        "add_entry",
        "delete",
        "delete_many",
        "dismiss",
        "edit_entry",
        "pull",
        "remove_entry",
        "retry",
        "start_service",
        "stop",
        "use_embedded",
    }
)
"""Commands that change models, pulls, the service or the user's entries."""
DELETIONS = frozenset({"delete", "delete_many"})
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Which servers, registries and commands are allowed; without arguments all are."""

    servers: tuple[str, ...] | None = None
    """Base URLs beside those of this machine; None: any."""
    registries: tuple[str, ...] | None = None
    """Hosts, with a port where it is not the usual one, `*.` in front for what lies below one."""
    read_only: bool = False
    allow_delete: bool = True

    @classmethod
    def narrow(
        cls,
        *,
        servers: Iterable[str] = (),
        registries: Iterable[str] = (),
        read_only: bool = False,
        allow_delete: bool = True,
    ) -> Policy:
        """The usual registries and this machine's servers, and what is named beside them.

        Raises `BadAddressError` for a server that is none.
        """
        return cls(
            servers=tuple(address(server, strict=True).url for server in servers),
            registries=(*USUAL_REGISTRIES, *(host.strip().lower() for host in registries)),
            read_only=read_only,
            allow_delete=allow_delete,
        )

    def refused_commands(self) -> frozenset[str]:
        """What a page need not offer."""
        if self.read_only:
            return CHANGES
        return frozenset() if self.allow_delete else DELETIONS

    def check_command(self, method: str) -> None:
        if method not in self.refused_commands():
            return
        if self.read_only:
            raise NotAllowedError(
                "This view may only look: its Jupyter server is configured with "
                "c.ModelWidgets.read_only. Use a notebook cell, or ask whoever runs the server."
            )
        raise NotAllowedError(
            "Deleting is switched off here: the Jupyter server is configured with "
            "c.ModelWidgets.allow_delete = False. Ask whoever runs it."
        )

    def check_server(self, url: str) -> None:
        """Refuse a base URL that is neither of this machine nor named."""
        if self.servers is None or is_local(url) or url in self.servers:
            return
        raise NotAllowedError(
            f"This Jupyter server may not speak to {url}. "
            "Whoever runs it can name it in c.ModelWidgets.allowed_servers."
        )

    def check_registry(self, host: str) -> None:
        """Refuse a registry by the host in a model's name."""
        if not self._registry_is_named(host.lower()):
            raise self._no_registry(host)

    def check_request(self, url: Any) -> None:
        """Refuse a request to a registry, or to where one redirects or asks for a login.

        `url` is an `httpx.URL`; only what was checked here is sent.
        """
        usual = url.port is None or url.port == _PORTS.get(url.scheme)
        host = url.host.lower() if usual else f"{url.host.lower()}:{url.port}"
        if not self._registry_is_named(host):
            raise self._no_registry(host)

    def _registry_is_named(self, host: str) -> bool:
        if self.registries is None or host in self.registries:
            return True
        below = [named[1:] for named in self.registries if named.startswith("*.")]
        return any(host.endswith(end) for end in below)

    @staticmethod
    def _no_registry(host: str) -> NotAllowedError:
        return NotAllowedError(
            f"This Jupyter server may not speak to {host}. "
            "Whoever runs it can name it in c.ModelWidgets.allowed_registries."
        )


EVERYTHING = Policy()
