"""Where the user's files lie: settings, parsed copies, state and models, a folder each.

The system's own places by default; `MODELWIDGETS_CONFIG_DIR`, `MODELWIDGETS_CACHE_DIR`,
`MODELWIDGETS_STATE_DIR` and `MODELWIDGETS_DATA_DIR` move them. On macOS the system has one place
for all but the cache, so no two files in different folders may bear one name.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import platformdirs


def config_folder(*, create: bool = True) -> Path:
    """What the user set and wrote: settings, own catalog entries."""
    return _folder("MODELWIDGETS_CONFIG_DIR", platformdirs.user_config_path, create=create)


def cache_folder(*, create: bool = True) -> Path:
    """What may be deleted at any time and costs only time to make again."""
    return _folder("MODELWIDGETS_CACHE_DIR", platformdirs.user_cache_path, create=create)


def state_folder(*, create: bool = True) -> Path:
    """What processes tell each other and their successors."""
    return _folder("MODELWIDGETS_STATE_DIR", platformdirs.user_state_path, create=create)


def data_folder(*, create: bool = True) -> Path:
    """What is large and worth keeping: the models of the embedded store."""
    return _folder("MODELWIDGETS_DATA_DIR", platformdirs.user_data_path, create=create)


def _folder(variable: str, usual: Callable[..., Path], *, create: bool) -> Path:
    """The folder, made for this user alone; `create=False` is for readers, who change nothing."""
    named = os.environ.get(variable)
    if named:
        folder = Path(named).expanduser().absolute()
    else:
        folder = usual("modelwidgets", appauthor=False)
    if create:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
