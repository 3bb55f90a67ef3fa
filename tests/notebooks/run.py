"""Runs the quickstart and writes it down with its outputs: `python -m tests.notebooks.run OUT`.

The outputs are what a reader without a kernel has: tables and texts, no widgets.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from modelwidgets.demo import notebook_path
from tests.notebooks.store import sample_store

WIDGET = "application/vnd.jupyter.widget-view+json"


LOOK_FIRST = "import modelwidgets; modelwidgets.installed().result()"
"""So that the first table has rows: a reader of the page cannot wait for them."""
QUIET = ["--IPKernelApp.log_level=ERROR", "--HistoryManager.hist_file=:memory:"]


def run(out: Path) -> None:
    """Run every cell; the first that fails ends the run."""
    notebook = nbformat.read(notebook_path(), as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(LOOK_FIRST))
    with sample_store():
        client = NotebookClient(
            notebook, timeout=120, store_widget_state=False, extra_arguments=QUIET
        )
        client.execute()
    del notebook.cells[0]
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(WIDGET, None)
    out.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, out)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tests.notebooks.run OUT")
    run(Path(sys.argv[1]))
