"""Names as the routes of a server take them.

Behind a name may stand where the model is to be looked for: `x:local` here, `x:cloud` and
`x:20b-cloud` on other people's machines. Some routes read that, others take it for a tag.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from modelwidgets import names
from modelwidgets.errors import InvalidNameError
from modelwidgets.names import ModelName
from modelwidgets.stores.golang import quoted

Source = Literal["", "local", "cloud"]


class NoNameError(Exception):
    """Nothing where a name belongs."""


class ConflictingSourceError(Exception):
    """A name that says both `:local` and `:cloud`."""

    def __init__(self, text: str) -> None:
        super().__init__(f"use either :local or :cloud, not both: {quoted(text)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A name, and where it says that the model is."""

    name: ModelName
    source: Source


def grammar(text: str) -> ModelName:
    """The name that the text is when everything behind the colon is its tag."""
    before, _, tag = text.rpartition(":")
    if tag not in ("local", "cloud") or not before:
        return names.parse(text)
    if ":" in before.rpartition("/")[2]:
        raise InvalidNameError(text, "it has two tags")
    return replace(names.parse(before), tag=tag)


def reference(text: str) -> Reference:
    """A name to look up or run."""
    base, source = _reference(text)
    return Reference(name=grammar(base), source=source)


def pulled(text: str) -> ModelName:
    """A name to pull or delete, where a model of the cloud is a small file under a tag of its own.

    Raises `InvalidNameError`, `NoNameError` or `ConflictingSourceError`.
    """
    base, source = _reference(text)
    if source == "cloud":
        tagged = base.rfind(":") > base.rfind("/")
        return grammar(f"{base}-cloud" if tagged else f"{base}:cloud")
    return grammar(base)


def _reference(text: str) -> tuple[str, Source]:
    text = text.strip()
    if not text:
        raise NoNameError
    base, source = _source(text)
    if source and _source(base)[1]:
        raise ConflictingSourceError(text)
    return base, source


def _source(text: str) -> tuple[str, Source]:
    before, colon, said = text.rpartition(":")
    word = said.strip().lower()
    if not colon:
        return text, ""
    if word == "cloud":
        return before, "cloud"
    if word == "local":
        return before, "local"
    if word.endswith("-cloud") and "/" not in word:
        return f"{before}:{said.strip()[: -len('-cloud')]}", "cloud"
    return text, ""
