"""The pages of the site leave nothing out: errors, advice, functions, modules."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import modelwidgets
from modelwidgets import cli, errors
from modelwidgets.stores import advice

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
TROUBLE = (DOCS / "troubleshooting.md").read_text("utf-8")
REFUSALS = (401, 403, 404, 405, 407, 501, 502, 503, 504)


def error_names() -> set[str]:
    return {name for name, _ in inspect.getmembers(errors, inspect.isclass) if "Error" in name}


def test_every_error_has_its_entry_and_no_entry_is_of_an_error_that_is_gone() -> None:
    """Whoever looks up the class of an error finds it under Troubleshooting."""
    entries = re.findall(r"^### (\w+Error)$", TROUBLE, re.MULTILINE)

    assert sorted(entries) == sorted(error_names())


@pytest.mark.parametrize(
    "text",
    sorted({*advice._ADVICE.values(), *map(advice.next_step_by_status, REFUSALS), advice.UNKNOWN}),
)
def test_every_advice_stands_in_the_table(text: str) -> None:
    """What is advised beside a server's words is explained in the same words."""
    assert f"| {text} |" in TROUBLE


def test_the_page_is_quoted_as_it_speaks() -> None:
    """The texts of the page that are explained are texts of the page."""
    strings = (ROOT / "modelwidgets/frontend/src/strings.ts").read_text("utf-8")
    section = TROUBLE.partition("## What the page says")[2]
    said = re.findall(r"^\| ([^|]*\.) \|", section, re.MULTILINE)

    assert said
    assert [text for text in said if text not in strings] == []


def test_every_public_name_is_in_the_reference() -> None:
    """No function or widget of the package is left out of the API reference."""
    named = re.findall(
        r"^::: [\w.]*?\.(\w+)$",
        "\n".join(page.read_text("utf-8") for page in (DOCS / "reference").glob("*.md")),
        re.MULTILINE,
    )

    assert set(modelwidgets.__all__) - set(named) == set()


def test_every_command_is_in_the_reference(capsys: pytest.CaptureFixture[str]) -> None:
    """Each command of the terminal shows its help on the page of the terminal."""
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    commands = re.findall(r"^    (\w+) ", capsys.readouterr().out, re.MULTILINE)
    page = (DOCS / "reference" / "terminal.md").read_text("utf-8")

    assert "pull" in commands
    assert sorted(commands) == sorted(re.findall(r"modelwidgets (\w+) --help", page))


def test_every_module_is_on_the_map() -> None:
    """Whoever asks what a file is for finds it in CONTRIBUTING, and no file that is gone."""
    package = ROOT / "modelwidgets"
    modules = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if path.name not in ("__init__.py", "__main__.py") and "frontend" not in path.parts
    }
    house = (ROOT / "CONTRIBUTING.md").read_text("utf-8").partition("## Where things are")[2]
    named = set(re.findall(r"`([\w/]+\.py)`", house.partition("\n## ")[0]))

    assert (sorted(modules - named), sorted(named - modules)) == ([], [])
