"""Manage local models from a notebook.

    from modelwidgets import ModelManager
    ModelManager().show()

Nothing is loaded before it is used: `import modelwidgets` costs next to nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False  # the type checker takes the name for True; typing costs more than the rest

if TYPE_CHECKING:
    from modelwidgets.shortcuts import (
        catalog,
        copy,
        delete,
        details,
        installed,
        pull,
        running,
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
    "catalog",
    "copy",
    "delete",
    "details",
    "installed",
    "pull",
    "running",
    "status",
]

_HOMES = {
    "OllamaClient": "modelwidgets.stores.ollama",
    **dict.fromkeys(
        ("CatalogBrowser", "InstalledModels", "ModelManager", "PullBars"), "modelwidgets.widgets"
    ),
    **dict.fromkeys(
        ("catalog", "copy", "delete", "details", "installed", "pull", "running", "status"),
        "modelwidgets.shortcuts",
    ),
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'modelwidgets' has no attribute {name!r}")
    import importlib  # noqa: PLC0415 - as late as everything else

    value: object = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
