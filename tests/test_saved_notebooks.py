"""What is left of a notebook without its kernel, and what plain IPython shows."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter, MarkdownExporter

from tests.isolation import environment
from tests.model_server import ModelServer

EMBED = "embed:tiny"


@pytest.fixture
def executed(
    tmp_path: Path, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> nbformat.NotebookNode:
    """A notebook that pulled a model and showed the manager, as nbclient saves it by default."""
    for name, value in environment(tmp_path, OLLAMA_HOST=model_server.url).items():
        monkeypatch.setenv(name, value)
    name = model_server.name(EMBED)
    cells = [
        f"from modelwidgets import ModelManager, installed, pull\npull({name!r}).result().state",
        "len(installed().result())",
        "ModelManager().show()",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=60, kernel_name="python3", store_widget_state=True).execute()
    return notebook


def test_nbconvert_shows_the_models_and_not_an_empty_widget(
    executed: nbformat.NotebookNode,
) -> None:
    """In HTML and in Markdown, as a table, without anything that must be fetched to be read."""
    html, _ = HTMLExporter().from_notebook_node(executed)
    markdown, _ = MarkdownExporter().from_notebook_node(executed)

    for page in (html, markdown):
        assert re.search(rf"<td[^>]*>[^<]*samples/{EMBED}</td>", page)
    assert '<script type="application/vnd.jupyter.widget-view' not in html


def test_a_saved_notebook_holds_no_rows_as_widget_state(executed: nbformat.NotebookNode) -> None:
    """Rows are written once, as the table; the state of a widget is small, its code aside."""
    saved = executed.metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
    traits = [
        {trait: value for trait, value in model["state"].items() if trait not in ("_esm", "_css")}
        for model in saved.values()
    ]

    assert traits != []
    assert EMBED not in json.dumps(traits)
    assert max(len(json.dumps(model)) for model in traits) < 2000


def test_plain_ipython_gets_text(tmp_path: Path, model_server: ModelServer) -> None:
    """No HTML, no escape sequences, no widget."""
    code = "from modelwidgets import ModelManager; ModelManager().show(); ModelManager()"
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--colors=NoColor", "--no-banner", "-c", code],
        env=environment(tmp_path, OLLAMA_HOST=model_server.url),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert "Embedded store 0.33.0 running" in done.stdout
    assert "No models to show." in done.stdout
    assert "<table" not in done.stdout
    assert "\x1b" not in done.stdout
