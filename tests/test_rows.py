"""What the lists of records give: CSV that is safe to open, and a note under a search."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from modelwidgets.rows import Rows
from modelwidgets.search import search
from tests.search_cases import cases, record_of

CASES = cases()
INSTALLED = [record_of(CASES, "installed", row) for row in CASES["installed"]]
CATALOG = [record_of(CASES, "catalog", row) for row in CASES["catalog"]]


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_csv_has_a_line_a_record_and_a_column_a_field() -> None:
    """Numbers stay numbers, lists are joined, what is not known is empty."""
    rows = read(Rows(INSTALLED).to_csv())

    assert [row["name"] for row in rows] == [model.name for model in INSTALLED]
    assert rows[0]["size_bytes"] == "2019393189"
    assert rows[0]["capabilities"] == "completion tools"
    assert rows[4]["capabilities"] == ""
    assert rows[0]["modified_at"] == "2026-11-20T12:30:00.123456+00:00"


def test_csv_of_families_names_their_tags() -> None:
    """A family is one line."""
    rows = read(Rows(CATALOG).to_csv())

    assert rows[0]["tags"] == "qwen3:8b qwen3:8b-fp16 qwen3:32b"
    assert rows[0]["custom"] == "false"


def test_csv_runs_nothing_in_a_spreadsheet_and_moves_no_cursor() -> None:
    """Formulas of strangers get an apostrophe, and control characters are spelled out."""
    said = ["=1+1", "+x", "-x", "@x", "\t=x", " =x", 'a,"b"', "a\nb", "\x1b[2Jx", "\u202ex"]
    record = {"name": "", "quantization": "", **CASES["defaults"]["installed"]}
    models = [record_of(CASES, "installed", {**record, "family": text}) for text in said]

    text = Rows(models).to_csv()

    assert [row["family"] for row in read(text)] == [
        *("'=1+1", "'+x", "'-x", "'@x", "' =x", "' =x", 'a,"b"', "a b", "x", "\\u202ex"),
    ]
    assert "\x1b" not in text


def test_csv_can_be_written_to_a_file(tmp_path: Path) -> None:
    """The same text, in UTF-8, its line ends untouched."""
    path = tmp_path / "models.csv"

    text = Rows(INSTALLED).to_csv(path)

    assert path.read_bytes() == text.encode()
    assert text.count("\r\n") == len(INSTALLED) + 1
    assert Rows([]).to_csv() == ""


def test_a_data_frame_has_the_found_rows() -> None:
    """`.to_frame()` goes on where a search ended."""
    frame = search("size<1GB", INSTALLED).to_frame()

    assert list(frame["name"]) == [
        "user/straße:latest",
        "nomic-embed-text:latest",
        "evil:<script>",
    ]


def test_a_notebook_shows_the_note_under_the_list() -> None:
    """Who sees an empty list also sees what was left out of it."""
    from IPython.lib.pretty import pretty

    assert pretty(search("fits", CATALOG)) == (
        "[]\nNot known for 5 models: fits. They are left out."
    )
    assert pretty(search("name:nothing", CATALOG)) == "[]"


def test_a_cell_shows_models_as_a_table() -> None:
    """Models are a table in a notebook and at a prompt; hostile names stay text."""
    from IPython.lib.pretty import pretty

    for rows in (Rows(INSTALLED, note="Not known for 1 model."), Rows(CATALOG)):
        text, html = pretty(rows).splitlines(), rows._repr_html_() or ""

        assert text[0].split()[0] == "NAME"
        assert [line.split()[0] for line in text[1 : len(rows) + 1]] == [
            model.name.split()[0] for model in rows
        ]
        assert text[len(rows) + 1 :] == ([rows.note] if rows.note else [])
        assert html.count("<tr>") == len(rows) + 1
        assert rows.note in html
        assert "<script>" not in html
        assert "caption" not in html


def test_a_long_list_is_cut_and_says_so() -> None:
    """A whole catalog does not bury the cells below it."""
    from IPython.lib.pretty import pretty

    rows = Rows(INSTALLED[:1] * 5_000)

    assert len(pretty(rows).splitlines()) == 62
    assert pretty(rows).endswith("\n4940 more of 5000; `.to_frame()` has them all.")
    assert (rows._repr_html_() or "").count("<tr>") == 61


def test_other_records_are_written_out() -> None:
    """What has no table of its own is shown as in any list."""
    assert Rows([1, 2])._repr_html_() is None
    assert Rows([])._repr_html_() is None
