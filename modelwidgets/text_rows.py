"""Lists of models as a cell or an IPython prompt shows them: a table, cut if long.

That of a fit check is never cut: each of its lines was asked for by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from modelwidgets.fit_records import FitRow
from modelwidgets.records import CatalogModel, InstalledModel
from modelwidgets.tables import Column, html_table, safe_html, table
from modelwidgets.text import CATALOG_COLUMNS, installed_columns, moment
from modelwidgets.text_fit import fit_table_html, fit_table_text

AT_MOST = 60
"""So many rows are shown, as pandas does."""


def rows_text(rows: Sequence[Any], note: str) -> str | None:
    """The table as text; None where the list has no table of its own, or nothing in it."""
    if _all(rows, FitRow):
        return fit_table_text(rows)
    return _drawn(rows, note, table, lambda text: f"\n{text}")


def rows_html(rows: Sequence[Any], note: str) -> str | None:
    """The same as HTML."""
    if _all(rows, FitRow):
        return fit_table_html(rows)
    return _drawn(
        rows,
        note,
        html_table,
        lambda text: f"<p>{safe_html(text)}</p>",
    )


def _drawn(
    rows: Sequence[Any],
    note: str,
    draw: Callable[[Sequence[Any], Sequence[Column[Any]]], str],
    below: Callable[[str], str],
) -> str | None:
    columns = _columns(rows)
    if columns is None:
        return None
    drawn = draw(rows[:AT_MOST], columns)
    if len(rows) > AT_MOST:
        drawn += below(f"{len(rows) - AT_MOST} more of {len(rows)}; `.to_frame()` has them all.")
    return drawn + (below(note) if note else "")


def _columns(rows: Sequence[Any]) -> Sequence[Column[Any]] | None:
    if _all(rows, InstalledModel):
        return installed_columns(moment)
    return CATALOG_COLUMNS if _all(rows, CatalogModel) else None


def _all(rows: Sequence[Any], kind: type) -> bool:
    return bool(rows) and all(isinstance(row, kind) for row in rows)
