"""The cases that say what a search means, which Python and the page share."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from modelwidgets import names
from modelwidgets.records import CatalogModel, CatalogTag, InstalledModel
from modelwidgets.search import Known

FILE = Path(__file__).parent / "data" / "search_cases.json"


def cases() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def record_of(data: dict[str, Any], kind: str, row: dict[str, Any]) -> Any:
    """A row of the file as the record that it stands for; `kind` is installed or catalog."""
    fields = _as_records(data["defaults"][kind] | row)
    if kind == "installed":
        at = fields["modified_at"]
        return InstalledModel(**fields | {"modified_at": at and datetime.fromisoformat(at)})
    tags = [_as_records(data["defaults"]["tag"] | tag) for tag in fields["tags"]]
    return CatalogModel(**fields | {"tags": tuple(CatalogTag(**tag) for tag in tags)})


def known_of(data: dict[str, Any]) -> Known:
    """What is known beside the rows of the file."""
    known = data["known"]
    families = {row["name"]: record_of(data, "catalog", row) for row in data["catalog"]}
    return Known(
        family=lambda name: families.get(name.rpartition(":")[0]),
        installed=frozenset(map(names.normalised, known["installed"])),
        running=frozenset(map(names.normalised, known["running"])),
        fits={names.normalised(name): fits for name, fits in known["fits"].items()},
        now=datetime.fromisoformat(data["now"]),
    )


def _as_records(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()
    }
