"""Virtual environments beside the main one, with another kernel in each, made once and kept."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.isolation import OUTSIDE

ROOT = Path(__file__).parents[2]
KEPT = ROOT / ".cache" / "envs"
KERNELS = {"6.31": "ipykernel==6.31.*", "7.3": "ipykernel==7.3.*"}
NEWEST = "newest"
"""The kernel of the environment in which the tests run."""


def kernel_python(kernel: str) -> Path:
    """The Python that runs this version of ipykernel, with the project installed editable."""
    if kernel == NEWEST:
        return Path(sys.executable)
    return make(f"ipykernel-{kernel}", KERNELS[kernel])


def make(name: str, *requirements: str) -> Path:
    """The Python of an environment with the project and `requirements`; a kept one is reused."""
    constraints = _without(requirements, (ROOT / "constraints.txt").read_text())
    project = (ROOT / "pyproject.toml").read_text()
    key = "\n".join([sys.version, *requirements, constraints, project])
    folder = KEPT / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    if not folder.exists():
        for outdated in KEPT.glob(f"{name}-*"):
            shutil.rmtree(outdated)
        _build(folder, requirements, constraints)
    return _python(folder)


def _build(folder: Path, requirements: tuple[str, ...], constraints: str) -> None:
    building = folder.with_name(f"{folder.name}.{os.getpid()}")  # two runs may build at once
    _uv("venv", "--relocatable", "--python", sys.executable, str(building))
    pins = building / "constraints.txt"
    pins.write_text(constraints)
    install = ["pip", "install", "--python", str(_python(building)), "--constraints", str(pins)]
    install += ["--build-constraints", str(pins), "--editable", str(ROOT), *requirements]
    _uv(*install)
    try:
        building.rename(folder)
    except OSError:
        shutil.rmtree(building)
        if not folder.exists():
            raise


def _uv(*words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "uv", "--quiet", *words],
        env=OUTSIDE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=110,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"uv {' '.join(words)} failed:\n{done.stdout}")


def _without(requirements: tuple[str, ...], constraints: str) -> str:
    """The constraints less those that `requirements` replace."""
    replaced = {_project(requirement) for requirement in requirements}
    lines = constraints.splitlines(keepends=True)
    return "".join(line for line in lines if _project(line) not in replaced)


def _project(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower()


def _python(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
