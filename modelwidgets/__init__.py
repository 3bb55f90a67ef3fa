"""Manage local models from a notebook.

    from modelwidgets import ModelManager
    ModelManager().show()

Nothing is loaded before it is used: `import modelwidgets` costs next to nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False  # the type checker takes the name for True; typing costs more than the rest

if TYPE_CHECKING:
    from modelwidgets.shortcuts import (
        add_entry,
        catalog,
        copy,
        delete,
        details,
        edit_entry,
        fit,
        fit_table,
        installed,
        pull,
        remove_entry,
        running,
        snippets,
        status,
    )
    from modelwidgets.stores.ollama import OllamaClient
    from modelwidgets.widgets import CatalogBrowser, InstalledModels, ModelManager, PullBars

__version__ = "0.1.0"
__all__ = [
    "CatalogBrowser",
    "InstalledModels",
    "ModelManager",
    "OllamaClient",
    "PullBars",
    "add_entry",
    "catalog",
    "copy",
    "delete",
    "details",
    "edit_entry",
    "fit",
    "fit_table",
    "installed",
    "pull",
    "remove_entry",
    "running",
    "snippets",
    "status",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'modelwidgets' has no attribute {name!r}")
    home = "shortcuts" if name.islower() else "widgets"
    if name == "OllamaClient":
        home = "stores.ollama"
    import importlib  # noqa: PLC0415 - as late as everything else

    value: object = getattr(importlib.import_module(f"modelwidgets.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])


def _jupyter_server_extension_points() -> list[dict[str, object]]:
    """Where a Jupyter server finds its door."""
    from modelwidgets.server import ModelWidgets  # noqa: PLC0415 - nobody else has jupyter_server

    return [{"module": "modelwidgets.server", "app": ModelWidgets}]
