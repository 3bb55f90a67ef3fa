"""One pull as its owner writes it down for other processes: a small JSON file.

What is read may have been cut off, or written by anybody: all of it is checked, and nothing of it
leads anywhere. No login is in it, nor the signature of an address that a server's error quotes.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NoReturn, get_args

from modelwidgets import names
from modelwidgets.errors import ModelWidgetsError
from modelwidgets.owner import Owner
from modelwidgets.plain_json import as_json
from modelwidgets.records import PullPhase, PullProgress, PullState
from modelwidgets.stores.address import address

FORMAT = 1
LARGEST_BYTES = 65536
"""An entry takes about two kilobytes; the error of a server may be longer."""
_MOST_LAYERS = 256
_LONGEST_WORDS = 200
_LONGEST_ERROR = 16384
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LOGIN = re.compile(r"//[^/\s\"'@]*@")
_QUERY = re.compile(r"(https?://[^\s\"'?]*)\?[^\s\"']*")


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """A pull of some process, as it was at the last writing."""

    owner: Owner
    ticket: int
    """Of several processes that run the same pull, the one with the lowest has it; 0: none yet."""
    written_at: datetime
    """The owner's own clock; only that it changes tells something on another host."""
    progress: PullProgress
    kept: Mapping[str, int]
    """Bytes that the server has, by digest, as far as its lines told."""
    missing: Mapping[str, int]
    """Bytes still to come by digest, as far as the manifest is known."""


def encode(entry: LedgerEntry) -> bytes:
    """The entry as a file; the id of the pull is the file's name."""
    progress = as_json(replace(entry.progress, plan=None, owner=None))
    del progress["id"]
    if progress["error"] is not None:
        progress["error"] = _without_secrets(progress["error"])[: _LONGEST_ERROR // 4]
    written = {
        "format": FORMAT,
        "owner": as_json(entry.owner),
        "ticket": entry.ticket,
        "written_at": entry.written_at.isoformat(),
        "progress": progress,
        "kept": _layers(entry.kept),
        "missing": _layers(entry.missing),
    }
    return json.dumps(written).encode()


def _layers(sizes: Mapping[str, int]) -> dict[str, int]:
    """Without what stands for all layers together."""
    named = (digest for digest in sizes if _DIGEST.fullmatch(digest))
    return {digest: sizes[digest] for digest in itertools.islice(named, _MOST_LAYERS)}


def decode(content: bytes, pull_id: str) -> LedgerEntry:
    """Read a file; raises `ValueError`, which says what is wrong with it."""
    try:
        raw = json.loads(content, parse_constant=_refuse_constant)
        return _entry(raw, pull_id)
    except (KeyError, TypeError, AttributeError, RecursionError, ModelWidgetsError) as error:
        raise ValueError(f"{type(error).__name__}: {str(error)[:200]}") from None


def _entry(raw: Any, pull_id: str) -> LedgerEntry:
    if raw["format"] != FORMAT:
        raise ValueError(f"its format is {str(raw['format'])[:20]!r}, not {FORMAT}")
    return LedgerEntry(
        owner=_owner(raw["owner"]),
        ticket=_whole(raw["ticket"]),
        written_at=_date(raw["written_at"]),
        progress=_progress(raw["progress"], pull_id),
        kept=_sizes(raw["kept"]),
        missing=_sizes(raw["missing"]),
    )


def _owner(raw: Any) -> Owner:
    return Owner(
        host=_words(raw["host"]),
        boot=_words(raw["boot"]),
        pid=_whole(raw["pid"]),
        started_seconds=_number(raw["started_seconds"]),
        viewer=_words(raw["viewer"]),
    )


def _progress(raw: Any, pull_id: str) -> PullProgress:
    def optional(key: str, read: Any) -> Any:
        return None if raw[key] is None else read(raw[key])

    return PullProgress(
        id=pull_id,
        name=str(names.parse(_words(raw["name"], 1000))),
        url=address(_words(raw["url"], 3000), strict=True).url,
        state=_one_of(raw["state"], get_args(PullState)),
        phase=_one_of(raw["phase"], get_args(PullPhase)),
        status=_words(raw["status"]),
        total_bytes=optional("total_bytes", _whole),
        completed_bytes=_whole(raw["completed_bytes"]),
        bytes_per_second=optional("bytes_per_second", _number),
        eta_seconds=optional("eta_seconds", _number),
        position=optional("position", _whole),
        error=optional("error", lambda value: _words(value, _LONGEST_ERROR)),
        error_kind=optional("error_kind", _words),
        digest=optional("digest", _words),
        proof=optional("proof", _words),
        plan=None,
        created_at=_date(raw["created_at"]),
        started_at=optional("started_at", _date),
        ended_at=optional("ended_at", _date),
    )


def _sizes(raw: Any) -> dict[str, int]:
    if len(raw) > _MOST_LAYERS or not all(map(_DIGEST.fullmatch, raw)):
        raise ValueError("its layers are no digests, or too many")
    return {digest: _whole(size) for digest, size in raw.items()}


def _words(value: Any, longest: int = _LONGEST_WORDS) -> str:
    if not isinstance(value, str) or len(value) > longest:
        raise ValueError("a text is none, or too long")
    value.encode()  # half a pair of surrogates could be told to nobody
    return value


def _one_of(value: Any, allowed: tuple[Any, ...]) -> Any:
    if value not in allowed:
        raise ValueError(f"{str(value)[:20]!r} is none of {', '.join(allowed)}")
    return value


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise ValueError("a number is none, or out of range")
    return value


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value < math.inf:
        raise ValueError("a number is none, or out of range")
    return float(value)


def _date(value: Any) -> datetime:
    date = datetime.fromisoformat(_words(value))
    if date.tzinfo is None:
        raise ValueError("a date lacks its time zone")
    return date


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number of JSON")


def _without_secrets(text: str) -> str:
    return _QUERY.sub(r"\1", _LOGIN.sub("//", text))
