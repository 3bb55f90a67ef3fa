"""Lists of records, as the functions give them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from modelwidgets import names
from modelwidgets.plain_json import as_json

T = TypeVar("T")


class Rows(list[T], Generic[T]):
    """A list of records that can be asked by name, and shown as a data frame or as CSV."""

    def __init__(
        self,
        records: Iterable[T] = (),
        *,
        note: str = "",
        matching: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        super().__init__(records)
        self.note = note
        """What a search could not tell, and so left out."""
        self.matching = matching or {}
        """After a search: the full names that it found, by the name of the row."""

    def get(self, name: str) -> T | None:
        """The record of that name (or with a tag of that name), however it is spelt; or None."""
        wanted = names.normalised(name)
        for record in self:
            known = [record, *getattr(record, "tags", ())]
            if any(names.normalised(str(getattr(one, "name", ""))) == wanted for one in known):
                return record
        return None

    def to_csv(self, path: str | Path | None = None) -> str:
        """The records as CSV, a line a record, a column a field; also written to `path` if given.

        A text that a spreadsheet would run as a formula gets an apostrophe before it.
        """
        from modelwidgets.csv_text import csv_text  # noqa: PLC0415 - few ask for it

        text = csv_text([as_json(record) for record in self])
        if path is not None:
            Path(path).write_text(text, encoding="utf-8", newline="")
        return text

    def to_frame(self) -> Any:
        """A pandas DataFrame, a row a record, a column a field."""
        try:
            import pandas as pd  # noqa: PLC0415 - optional, and slow to load
        except ImportError:
            raise ImportError("`.to_frame()` needs pandas: `pip install pandas`.") from None
        return pd.DataFrame([as_json(record) for record in self])

    def _repr_html_(self) -> str | None:
        """In a notebook models are a table, with what a search could not tell under it."""
        from modelwidgets.text_rows import rows_html  # noqa: PLC0415 - only where it is shown

        return rows_html(self, self.note)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """The same in IPython; other records are written out, as in any list."""
        from modelwidgets.text_rows import rows_text  # noqa: PLC0415 - only where it is shown

        drawn = None if cycle else rows_text(self, self.note)
        if drawn is not None:
            printer.text(drawn)
            return
        printer.text("Rows(...)" if cycle else repr(self))
        if self.note:
            printer.break_()
            printer.text(self.note)
