"""The package as a whole: what it names, and what it loads."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys

import pytest

import modelwidgets
from modelwidgets.loop import Handle, ThreadHandle

HEAVY = ("anywidget", "asyncio", "httpx", "huggingface_hub", "ipywidgets", "pynvml", "yaml")
CALLS = {
    "add_entry": ("user/nothing",),
    "remove_entry": ("user/nothing",),
    "catalog": (),
    "copy": ("one", "two"),
    "delete": ("nothing",),
    "details": ("nothing",),
    "edit_entry": ("user/nothing",),
    "fit": ("nothing",),
    "fit_table": (["nothing"],),
    "installed": (),
    "pull": ("nothing",),
    "running": (),
    "snippets": ("nothing",),
    "status": (),
}


def test_importing_the_package_loads_nothing_heavy() -> None:
    """Scripts and servers pay for what they use, when they use it."""
    program = f"import sys, modelwidgets; print([m for m in {HEAVY!r} if m in sys.modules])"

    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert loaded.stdout.strip() == "[]"


def test_every_public_name_is_there() -> None:
    """What `__all__` promises can be had, and `dir()` shows it."""
    for name in modelwidgets.__all__:
        assert getattr(modelwidgets, name) is not None

    assert set(modelwidgets.__all__) <= set(dir(modelwidgets))
    with pytest.raises(AttributeError, match="no attribute 'fnord'"):
        _ = modelwidgets.fnord  # type: ignore[attr-defined]


def test_no_module_takes_the_place_of_a_function(monkeypatch: pytest.MonkeyPatch) -> None:
    """An imported submodule becomes an attribute of the package: none may hide a function."""
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    for module in pkgutil.walk_packages(modelwidgets.__path__, "modelwidgets."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)

    for name, arguments in CALLS.items():
        for _ in range(2):
            handle = getattr(modelwidgets, name)(*arguments)
            assert repr(handle).startswith("<")
            handle.cancel()


def test_the_calls_cover_every_function() -> None:
    """A new public function joins the test above."""
    functions = {name for name in modelwidgets.__all__ if name.islower()}

    assert functions == set(CALLS)


def test_a_handle_says_what_it_is_without_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Notebooks compare equal from run to run."""
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")

    handle: Handle[object] = modelwidgets.status()

    assert isinstance(handle, ThreadHandle)
    handle.result(20)
    assert repr(handle) == "<status(): done, its value is in .result()>"
