"""What users install: built from a clean checkout, by people and machines that have no Node."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.isolation import OUTSIDE

ROOT = Path(__file__).parents[1]
TRY_IT = """
import importlib, pkgutil
import modelwidgets
from modelwidgets.library import load_catalog

for module in pkgutil.walk_packages(modelwidgets.__path__, "modelwidgets."):
    if not module.name.endswith(("__main__", ".server")):  # a door for who has Jupyter Server
        importlib.import_module(module.name)
print(modelwidgets.__file__)
print(len(load_catalog().models))
print(len(str(modelwidgets.ModelManager._esm)))
"""


def checkout(folder: Path) -> Path:
    """A copy of what a clone would hold: nothing built, nothing ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        source, copy = ROOT / name, folder / name
        if source.is_file():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy)
    return folder


def without_node(folder: Path) -> dict[str, str]:
    """The environment of a machine that has a shell and nothing else."""
    folder.mkdir()
    if os.name == "nt":
        path = str(Path(os.environ["SYSTEMROOT"]) / "System32")
    else:
        path = str(folder)
        for program in ("sh", "env"):
            (folder / program).symlink_to(Path("/usr/bin") / program)
    assert shutil.which("node", path=path) is None
    return OUTSIDE | {"PATH": path}


def run(*command: str | Path, env: dict[str, str], cwd: Path) -> str:
    """What a command prints; its own words are the failure where it fails."""
    done = subprocess.run(
        command,
        env=env,
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.timeout(300)
def test_a_wheel_is_built_and_works_without_node(tmp_path: Path) -> None:
    """A clean checkout builds with no Node on the path; the wheel brings all that it needs."""
    env = without_node(tmp_path / "bin")
    clone = checkout(tmp_path / "clone")
    uv = [sys.executable, "-m", "uv", "--quiet"]

    run(*uv, "build", "--python", sys.executable, "--out-dir", tmp_path, env=env, cwd=clone)

    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {
        "modelwidgets/static/widget.js",
        "modelwidgets/static/later.js",
        "modelwidgets/static/widget.css",
        "modelwidgets/catalog.yaml",
        "modelwidgets/py.typed",
    } <= set(names)
    shared = {name.partition(".data/data/")[2] for name in names if ".data/data/" in name}
    lab = "share/jupyter/labextensions/modelwidgets"
    assert {
        "etc/jupyter/jupyter_server_config.d/modelwidgets.json",
        f"{lab}/install.json",
        f"{lab}/package.json",
        f"{lab}/schemas/modelwidgets/plugin.json",
    } <= shared
    assert not [name for name in names if "frontend" in name or "node_modules" in name]
    assert not [name for name in names if name.startswith("modelwidgets/labextension")]
    assert len(names) == len(set(names))

    fresh = tmp_path / "fresh"
    python = fresh / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    pins = ROOT / "constraints.txt"
    run(*uv, "venv", "--python", sys.executable, fresh, env=env, cwd=tmp_path)
    run(*uv, "pip", "install", "--python", python, "-c", pins, wheel, env=env, cwd=tmp_path)
    where, models, script_bytes = run(
        python, "-W", "error", "-c", TRY_IT, env=env, cwd=tmp_path
    ).split()

    assert Path(where).is_relative_to(fresh)
    assert int(models) > 200
    assert int(script_bytes) > 10_000
