"""What an Ollama server writes, as records. Past this file there is no JSON.

Servers before 0.30 leave fields out, every server leaves out what is empty or 0: a missing field is
the empty text, no rows or None. A field of a wrong kind is refused by name.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import fields
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NoReturn, TypeVar

from modelwidgets.records import InstalledModel, ModelInfo, PullStep, RunningModel, Tensor

T = TypeVar("T")

_LABEL = re.compile(r"(\d{1,6}(?:\.\d{1,6})?)\s?([KMBT]?)", re.IGNORECASE)
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
_NEVER_YEARS = 100
_COMPLETED = re.compile(rb'"completed":[ \t]*(0|[1-9]\d{0,17})[ \t]*\}\s*\Z')
_set_status, _set_digest, _set_total, _set_completed = (
    PullStep.__dict__[field.name].__set__ for field in fields(PullStep)
)


class UnreadableError(ValueError):
    """An answer that is not what Ollama writes; the text says where."""


class ErrorLineError(Exception):
    """A line by which the server reports an error, under the status 200; its words, whole."""


def decode(raw: bytes) -> Any:
    """The JSON value that the bytes hold, of numbers and texts that can be written again."""
    try:
        value = _JSON.decode(raw.decode())
        if b"\\ud" in raw or b"\\uD" in raw:
            json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair fails here
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"no JSON: {excerpt(raw)}") from error
    return value


def decode_object(raw: bytes) -> dict[str, Any]:
    """The JSON object that the bytes hold."""
    value = decode(raw)
    if type(value) is not dict:
        raise UnreadableError(f"no JSON object: {excerpt(raw)}")
    return value


def excerpt(raw: bytes) -> str:
    """The beginning of what came, on one line, safe to show."""
    text = " ".join(raw[:400].decode(errors="replace").split())
    return ascii(text if len(text) <= 60 else text[:57] + "...")


class StepReader:
    """Reads the lines of a pull, a push or a create.

    Why not JSON alone: a line is parsed only where it differs from the one before in more than the
    number at its end, which almost none does; this takes a quarter of the time.
    """

    def __init__(self) -> None:
        self._line = b""
        self._before: bytes | None = None
        """What stands before `completed` in the latest line that ends with it."""
        self._step: PullStep | None = None

    def read(self, line: bytes) -> PullStep:
        """The step that a line reports; raises `ErrorLineError` where it reports an error."""
        step = self._step
        if step is None or line != self._line:
            self._step = step = self._counted_on(line, step) or self._parsed(line)
            self._line = line
        return step

    def _counted_on(self, line: bytes, latest: PullStep | None) -> PullStep | None:
        if latest is None or self._before is None or not line.startswith(self._before):
            return None
        end = _COMPLETED.fullmatch(line, len(self._before))
        if end is None:
            return None
        # its own way to fill a frozen record takes as long as all the rest here
        step = object.__new__(PullStep)
        _set_status(step, latest.status)
        _set_digest(step, latest.digest)
        _set_total(step, latest.total_bytes)
        _set_completed(step, int(end[1]))
        return step

    def _parsed(self, line: bytes) -> PullStep:
        data = decode_object(line)
        if "error" in data:
            raise ErrorLineError(error_text(data))
        status = data.get("status")
        if type(status) is not str:
            _wrong("status")
        step = PullStep(
            status=status,
            digest=text_or_none(data, "digest"),
            total_bytes=_whole(data, "total"),
            completed_bytes=_whole(data, "completed") or 0,
        )
        end = _COMPLETED.search(line)
        self._before = line[: end.start()] if end else None
        return step


def error_text(data: dict[str, Any]) -> str:
    """What a server says under `error`, whole."""
    error = data["error"]
    return error if type(error) is str else json.dumps(error, ensure_ascii=False)


def installed_models(data: dict[str, Any]) -> list[InstalledModel]:
    """The answer of `/api/tags`."""
    return [_installed_model(row) for row in _models(data)]


def running_models(data: dict[str, Any], *, now: datetime) -> list[RunningModel]:
    """The answer of `/api/ps`."""
    return [_running_model(row, now) for row in _models(data)]


def model_info(name: str, data: dict[str, Any]) -> ModelInfo:
    """The answer of `/api/show` for `name`."""
    details = _table(data, "details")
    info = _table(data, "model_info")
    architecture = info.get("general.architecture")
    parameters = _known(info, "general.parameter_count")
    return ModelInfo(
        name=name,
        license=_text(data, "license"),
        modelfile=_text(data, "modelfile"),
        parameters_text=_text(data, "parameters"),
        template=_text(data, "template"),
        system=_text(data, "system"),
        format=_text(details, "format"),
        family=_text(details, "family"),
        families=_texts(details, "families") or (),
        parameter_size=_text(details, "parameter_size"),
        parameters=parameter_count(_text(details, "parameter_size"))
        if parameters is None
        else parameters,
        quantization=_text(details, "quantization_level"),
        capabilities=_texts(data, "capabilities"),
        max_context_length=_known(info, f"{architecture}.context_length"),
        embedding_length=_known(info, f"{architecture}.embedding_length"),
        requires=text_or_none(data, "requires"),
        modified_at=_date(data, "modified_at"),
        remote_model=text_or_none(data, "remote_model"),
        remote_host=text_or_none(data, "remote_host"),
        model_info=info,
        projector_info=_table(data, "projector_info"),
        tensors=tuple(
            Tensor(name=_text(row, "name"), type=_text(row, "type"), shape=_shape(row))
            for row in _rows(data, "tensors")
        ),
    )


@lru_cache(maxsize=1000)
def parameter_count(label: str) -> int | None:
    """The number that a label such as `3.2B` stands for."""
    match = _LABEL.fullmatch(label)
    return round(float(match[1]) * _UNITS[match[2].upper()]) if match else None


def text_or_none(data: dict[str, Any], key: str) -> str | None:
    """A text that may be missing or empty."""
    return _text(data, key) or None if key in data else None


def _installed_model(row: dict[str, Any]) -> InstalledModel:
    details = _table(row, "details")
    label = _text(details, "parameter_size")
    return InstalledModel(
        name=_name(row),
        digest=_text(row, "digest").removeprefix("sha256:"),
        size_bytes=_whole(row, "size") or 0,
        modified_at=_date(row, "modified_at"),
        format=_text(details, "format"),
        family=_text(details, "family"),
        families=_texts(details, "families") or (),
        parameter_size=label,
        parameters=parameter_count(label),
        quantization=_text(details, "quantization_level"),
        max_context_length=_whole(details, "context_length"),
        embedding_length=_whole(details, "embedding_length"),
        capabilities=_texts(row, "capabilities"),
        remote_model=text_or_none(row, "remote_model"),
        remote_host=text_or_none(row, "remote_host"),
    )


def _running_model(row: dict[str, Any], now: datetime) -> RunningModel:
    expires_at = _date(row, "expires_at")
    if expires_at is not None and expires_at.year > now.year + _NEVER_YEARS:
        expires_at = None  # a keep_alive below zero is written as a date 292 years ahead
    return RunningModel(
        name=_name(row),
        digest=_text(row, "digest").removeprefix("sha256:"),
        size_bytes=_whole(row, "size") or 0,
        size_vram_bytes=_whole(row, "size_vram") or 0,
        expires_at=expires_at,
        context_length=_whole(row, "context_length"),
    )


def _models(data: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    if "models" not in data:
        raise UnreadableError("no `models` in it")
    return _rows(data, "models")


def _name(row: dict[str, Any]) -> str:
    name = _text(row, "name") or _text(row, "model")
    if not name:
        raise UnreadableError("a model without a name")
    return name


def _date(data: dict[str, Any], key: str) -> datetime | None:
    """An RFC 3339 date, up to nanoseconds; None for the year 1, which is Go's "no date"."""
    text = _text(data, key)
    if not text:
        return None
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        raise UnreadableError(f"`{key}` is no date: {text[:40]!a}") from None
    if date.year == 1:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _shape(row: dict[str, Any]) -> tuple[int, ...]:
    return _list_of(int, row, "shape") or ()


def _texts(data: dict[str, Any], key: str) -> tuple[str, ...] | None:
    return _list_of(str, data, key)


def _rows(data: dict[str, Any], key: str) -> tuple[dict[str, Any], ...]:
    return _list_of(dict, data, key) or ()


def _list_of(kind: type[T], data: dict[str, Any], key: str) -> tuple[T, ...] | None:
    value = data.get(key)
    if value is None:
        return None
    if type(value) is not list:
        _wrong(key)
    for item in value:
        if type(item) is not kind:
            _wrong(key)
    return tuple(value)


def _table(data: dict[str, Any], key: str) -> dict[str, Any]:
    value = data.get(key)
    if value is not None and type(value) is not dict:
        _wrong(key)
    return value or {}


def _text(data: dict[str, Any], key: str) -> str:
    value = data.get(key)
    if type(value) is str:
        return value
    return "" if value is None else _wrong(key)


def _whole(data: dict[str, Any], key: str) -> int | None:
    value: int | None = data.get(key)
    if value is not None and not (type(value) is int and 0 <= value < 2**63):
        _wrong(key)
    return value


def _known(info: dict[str, Any], key: str) -> int | None:
    """A number from a GGUF header, whose author may have written anything there."""
    value = info.get(key)
    return value if type(value) is int and 0 <= value < 2**63 else None


def _wrong(key: str) -> NoReturn:
    raise UnreadableError(f"`{key[:60]}` is of a wrong kind")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("not a finite number")
    return number


_JSON = json.JSONDecoder(parse_float=_finite, parse_constant=_finite)
