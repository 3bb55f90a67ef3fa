"""Lists of records, as the functions give them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Generic, TypeVar

from modelwidgets import names
from modelwidgets.records import as_json

T = TypeVar("T")


class Rows(list[T], Generic[T]):
    """A list of records that can be asked by name, and shown as a data frame."""

    def __init__(self, records: Iterable[T] = ()) -> None:
        super().__init__(records)

    def get(self, name: str) -> T | None:
        """The record of that name (or with a tag of that name), however it is spelt; or None."""
        wanted = names.normalised(name)
        for record in self:
            known = [record, *getattr(record, "tags", ())]
            if any(names.normalised(str(getattr(one, "name", ""))) == wanted for one in known):
                return record
        return None

    def to_frame(self) -> Any:
        """A pandas DataFrame, a row a record, a column a field."""
        try:
            import pandas as pd  # noqa: PLC0415 - optional, and slow to load
        except ImportError:
            raise ImportError("`.to_frame()` needs pandas: `pip install pandas`.") from None
        return pd.DataFrame([as_json(record) for record in self])
