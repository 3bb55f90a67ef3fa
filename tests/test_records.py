"""The records of Python and of the page are the same ones."""

from __future__ import annotations

import re
import types
import typing
from dataclasses import fields, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from modelwidgets import device_records, fit_records, records

RECORDS_TS = Path(records.__file__).parent / "frontend" / "src" / "records.ts"
PLAIN = {str: "string", int: "number", float: "number", bool: "boolean", datetime: "string"}


def python_records() -> dict[str, dict[str, str]]:
    """Name of each record to its fields, each with the TypeScript type that its JSON has."""
    files = (records, device_records, fit_records)
    found = [value for file in files for value in vars(file).values() if isinstance(value, type)]
    return {
        record.__name__: {
            field.name: as_typescript(
                typing.get_type_hints(record, localns=vars(fit_records))[field.name]
            )
            for field in fields(record)
        }
        for record in found
        if is_dataclass(record)
    }


def as_typescript(hint: Any) -> str:
    """`tuple[str, ...] | None` as `string[] | null`."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return " | ".join(as_typescript(argument) for argument in arguments)
    if origin is tuple and arguments[-1] is not Ellipsis:
        return f"[{', '.join(map(as_typescript, arguments))}]"
    if origin is tuple:
        element = as_typescript(arguments[0])
        several = " | " in element and not element.startswith("[")
        return f"({element})[]" if several else f"{element}[]"
    if origin is typing.Literal:
        return " | ".join(f'"{argument}"' for argument in arguments)
    if origin is dict:
        value = "unknown" if arguments[1] is Any else as_typescript(arguments[1])
        return f"Record<string, {value}>"
    if hint is type(None):
        return "null"
    return PLAIN.get(hint) or str(hint.__name__)


def typescript_records() -> dict[str, dict[str, str]]:
    """The interfaces of `records.ts`, with the names of unions replaced by what they stand for."""
    text = re.sub(r"/\*.*?\*/", "", RECORDS_TS.read_text("utf-8"), flags=re.DOTALL)
    types = re.findall(r"export type (\w+) =([^;]*);", text)
    unions = {name: " | ".join(re.findall(r'"[\w-]+"', body)) for name, body in types}
    tuples = {name: body.strip() for name, body in types if body.startswith(" [")}
    for name, body in tuples.items():
        text = text.replace(f": {name}[];", f": {body}[];")
    return {
        name: {
            field: _without(kind, unions)
            for field, kind in re.findall(r"^  (\w+\??): (.*);$", body, re.MULTILINE)
        }
        for name, body in re.findall(r"export interface (\w+) \{\n(.*?)\n\}", text, re.DOTALL)
    }


def _without(kind: str, unions: dict[str, str]) -> str:
    """A type with what the names in it stand for."""
    parts = re.split(r"( \| |, |^\[)", kind)
    return "".join(unions.get(part, part) for part in parts)


def test_both_sides_have_the_same_records() -> None:
    """A record that is added on one side is added on the other."""
    assert sorted(typescript_records()) == sorted(python_records())


@pytest.mark.parametrize("name", sorted(python_records()))
def test_a_record_has_the_same_fields_on_both_sides(name: str) -> None:
    """Names, order, types, and what may be null."""
    ours, theirs = python_records()[name], typescript_records()[name]

    assert list(theirs) == list(ours)
    assert theirs == ours
