"""What a term of a search may be: its keys, flags, units and values.

A value stands for a range, so that a term means what people mean by it: `ctx:128k` is anything from
128,000 to 131,072 tokens, because model makers count in both; `updated:2026-01` is all of January;
`params:7b` is what rounds to 7 B. `frontend/src/terms.ts` is the same for the page, and
`tests/data/search_cases.json` holds the two together.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal

Kind = Literal["size", "parameters", "tokens", "count", "date", "age", "text"]
Range = tuple[float, float]
"""Both ends belong to it."""

KINDS: dict[str, Kind] = {
    "size": "size",
    "params": "parameters",
    "ctx": "tokens",
    "quant": "text",
    "family": "text",
    "updated": "date",
    "age": "age",
    "name": "text",
    "tag": "text",
    "publisher": "text",
    "license": "text",
    "category": "text",
    "capability": "text",
    "type": "text",
    "pulls": "count",
}
ALIASES = {
    "parameters": "params",
    "context": "ctx",
    "quantization": "quant",
    "modified": "updated",
    "changed": "updated",
    "licence": "license",
    "popularity": "pulls",
}
FLAGS = ("installed", "running", "fits", "recommended", "yours", "cloud")
CAPABILITIES = ("completion", "tools", "thinking", "vision", "audio", "embedding", "insert")
CLOSED = {
    "category": (
        *("chat", "code", "vision", "embedding", "reasoning", "tools"),
        *("math", "medical", "safety", "data", "translation"),
    ),
    "type": ("llm", "embedding"),
}
"""Keys that have only these values, so that another one is a mistake."""

WRITE = {
    "size": "Write it like `8GB`, `500MB` or `7.5GiB`.",
    "parameters": "Write it like `7b` or `500m`.",
    "tokens": "Write it like `128k`, `1m` or `8192`.",
    "count": "Write it like `100k`, `1.5m` or `20000`.",
    "date": (
        "Write it like `2026`, `2026-01` or `2026-01-15`; for the last 30 days write `age<30d`."
    ),
    "age": "Write it like `12h`, `30d`, `6w` or `2y`.",
}
A_VALUE = {
    "size": "size",
    "parameters": "number of parameters",
    "tokens": "number of tokens",
    "count": "number of pulls",
    "date": "date",
    "age": "age",
}
EXAMPLES = {
    "size": "<8GB",
    "params": ">=7b",
    "ctx": ">=128k",
    "quant": ":q4",
    "family": ":llama",
    "updated": ">2026-01",
    "age": "<30d",
    "name": ":coder",
    "tag": ":instruct",
    "publisher": ":meta",
    "license": ":apache",
    "category": ":code",
    "capability": ":tools",
    "type": ":embedding",
    "pulls": ">1m",
}
"""How each key is used, for errors and completion."""

_DAY = 86_400_000
_UNITS: dict[Kind, dict[str, Range]] = {
    "size": {
        **{
            f"{letter}{end}": (1000.0**at,) * 2
            for at, letter in enumerate("kmgt", 1)
            for end in ("", "b")
        },
        **{f"{letter}ib": (1024.0**at,) * 2 for at, letter in enumerate("kmgt", 1)},
        "b": (1.0, 1.0),
    },
    "parameters": {"k": (1e3, 1e3), "m": (1e6, 1e6), "b": (1e9, 1e9), "t": (1e12, 1e12)},
    "tokens": {"": (1.0, 1.0), "k": (1000.0, 1024.0), "m": (1e6, 1024.0 * 1024.0)},
    "count": {"": (1.0, 1.0), "k": (1e3, 1e3), "m": (1e6, 1e6), "b": (1e9, 1e9)},
    "age": {
        "h": (_DAY / 24, _DAY / 24),
        "d": (_DAY, _DAY),
        "w": (7 * _DAY, 7 * _DAY),
        "y": (365.25 * _DAY, 365.25 * _DAY),
    },
}
_AMOUNT = re.compile(r"([0-9]{1,15})(?:\.([0-9]{1,6}))? ?([a-z]*)")
_DATE = re.compile(r"((?:19|20)[0-9]{2})(?:-([0-9]{2})(?:-([0-9]{2}))?)?")
_LABEL = re.compile(r"(?:([0-9]{1,3})x)?([0-9]{1,6}(?:\.[0-9]{1,6})?)([kmbt])")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def fold(text: str) -> str:
    """A text as it is compared: in one case.

    Why not `casefold`: a page has none, and this gives the same there.
    """
    return text.lower() if text.isascii() else text.upper().lower().replace("ς", "σ")  # noqa: RUF001


def key_of(word: str) -> str | None:
    """The key that a word means, in any case, also by another name of it."""
    lower = word.lower()
    return lower if lower in KINDS else ALIASES.get(lower)


def read_value(kind: Kind, op: str, text: str) -> Range | None:
    """The range that a value stands for; None where it is none of its kind."""
    if kind == "date":
        return date_range(text)
    found = _AMOUNT.fullmatch(text.lower())
    unit = _UNITS[kind].get(found[3]) if found else None
    if found is None or unit is None:
        return None
    decimals = found[2] or ""
    number = float(f"{found[1]}.{decimals}0")
    half = float(f"5e-{len(decimals) + 1}")
    exact = op not in ("=", ":") or kind == "tokens" or found[3] == ""
    spare = 0.0 if exact else half
    return max(number - spare, 0.0) * unit[0], (number + spare) * unit[1]


@lru_cache(maxsize=512)
def date_range(text: str) -> Range | None:
    """A year, month or day in milliseconds since 1970, in UTC."""
    found = _DATE.fullmatch(text)
    if found is None:
        return None
    year, month, day = int(found[1]), int(found[2] or 1), int(found[3] or 1)
    try:
        first = datetime(year, month, day, tzinfo=UTC)
    except ValueError:
        return None
    if found[3]:
        end = first + timedelta(days=1)
    elif found[2]:
        end = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    else:
        end = datetime(year + 1, 1, 1, tzinfo=UTC)
    return milliseconds(first), milliseconds(end) - 1


def milliseconds(at: datetime) -> float:
    """A moment as JavaScript counts it."""
    return float((at - _EPOCH) // timedelta(milliseconds=1))


@lru_cache(maxsize=512)
def label_range(label: str) -> Range | None:
    """What a label such as `8B` says of the number of weights.

    `8X7B` is at least one expert and at most all of them, because they share layers; `E4B`, which
    counts only what is in use, says nothing.
    """
    found = _LABEL.fullmatch(label.lower())
    if found is None:
        return None
    size = float(found[2]) * _UNITS["parameters"][found[3]][0]
    return size, size * float(found[1] or 1)


def compare(op: str, row: Range, value: Range) -> bool | None:
    """Whether a row's range stands so to a value's; None where the row knows it too roughly."""
    (first, last), (low, high) = row, value
    match op:
        case ">":
            return _told(first > high, last <= high)
        case ">=":
            return _told(first >= low, last < low)
        case "<":
            return _told(last < low, first >= low)
        case "<=":
            return _told(last <= high, first > high)
    return _told(first >= low and last <= high, last < low or first > high)


def nearest(word: str, known: list[str]) -> str | None:
    """What a misspelt word was probably to be: at most two letters away, one in a short word."""
    most = 2 if len(word) > 3 else 1
    away = [(distance(word.lower(), one), at) for at, one in enumerate(known)]
    best, at = min(away)
    return known[at] if best <= most else None


def typo(word: str) -> str | None:
    """The key that a word before a colon was meant to be; most such words are names of models."""
    known = [*KINDS, *ALIASES]
    near = (key for key in known if len(key) > 3 and distance(word.lower(), key) == 1)
    return next(near, None)


def distance(one: str, other: str) -> int:
    """How many letters must be changed, added, dropped or swapped with the next; 9 is far."""
    if abs(len(one) - len(other)) > 2 or len(one) > 20:
        return 9
    before: list[int] = []
    line = list(range(len(other) + 1))
    for at, letter in enumerate(one):
        earlier, before, line = before, line, [at + 1]
        for place, wanted in enumerate(other):
            cost = min(before[place + 1] + 1, line[place] + 1, before[place] + (letter != wanted))
            swapped = at > 0 and place > 0 and letter == other[place - 1] and one[at - 1] == wanted
            line.append(min(cost, earlier[place - 1] + 1) if swapped else cost)
    return line[-1]


def _told(yes: bool, no: bool) -> bool | None:
    return True if yes else False if no else None
