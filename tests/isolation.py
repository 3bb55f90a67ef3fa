"""Keeps what runs under test inside a folder: no settings, models or servers of the user's."""

from __future__ import annotations

import os
from pathlib import Path

OUTSIDE = dict(os.environ)
"""The environment in which the run was started, for tools that need its settings (uv, Chromium)."""


def is_foreign(name: str) -> bool:
    """Whether an environment variable could lead a test to servers or settings outside it."""
    return name.lower().endswith("_proxy") or name.startswith(("OLLAMA_", "MODELWIDGETS_", "HF_"))


def inside(folder: Path) -> dict[str, str]:
    """The variables that keep a process inside `folder`."""
    home = folder / "home"
    home.mkdir(parents=True, exist_ok=True)
    jupyter = home / ".local" / "share" / "jupyter"
    paths = {
        "MODELWIDGETS_CONFIG_DIR": folder / "config",
        "MODELWIDGETS_DATA_DIR": folder / "data",
        "MODELWIDGETS_STATE_DIR": folder / "state",
        "MODELWIDGETS_CACHE_DIR": folder / "cache",
        "HOME": home,
        "USERPROFILE": home,
        "APPDATA": home / "AppData" / "Roaming",
        "LOCALAPPDATA": home / "AppData" / "Local",
        "XDG_CONFIG_HOME": home / ".config",
        "XDG_DATA_HOME": home / ".local" / "share",
        "XDG_STATE_HOME": home / ".local" / "state",
        "XDG_CACHE_HOME": home / ".cache",
        "IPYTHONDIR": home / ".ipython",
        "JUPYTER_CONFIG_DIR": home / ".jupyter",
        "JUPYTER_DATA_DIR": jupyter,
        "JUPYTER_RUNTIME_DIR": jupyter / "runtime",
        "JUPYTERLAB_SETTINGS_DIR": home / ".jupyter" / "lab" / "user-settings",
        "JUPYTERLAB_WORKSPACES_DIR": home / ".jupyter" / "lab" / "workspaces",
    }
    return {name: str(path) for name, path in paths.items()}


def environment(folder: Path, **more: str) -> dict[str, str]:
    """A whole environment for a process that stays inside `folder`."""
    kept = {name: value for name, value in OUTSIDE.items() if not is_foreign(name)}
    return kept | inside(folder) | more
