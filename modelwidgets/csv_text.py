"""Records as CSV, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from modelwidgets.tables import visible

_FORMULA = ("=", "+", "-", "@")


def csv_text(records: Sequence[Mapping[str, Any]]) -> str:
    """A line of titles and a line a record; lists are joined by spaces, tags by their names.

    Texts are made visible, as in tables: they may be printed, and are opened by programs.
    """
    whole = io.StringIO(newline="")
    writer = csv.writer(whole, lineterminator="\r\n")  # RFC 4180
    if records:
        writer.writerow(records[0])
    writer.writerows([_cell(value) for value in record.values()] for record in records)
    return whole.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        value = " ".join(_name(item) for item in value)
    elif isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return value
    shown = visible(value)
    return f"'{shown}" if shown.lstrip().startswith(_FORMULA) else shown


def _name(item: Any) -> str:
    return str(item["name"]) if isinstance(item, dict) else str(item)
