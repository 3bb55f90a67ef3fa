"""JSON, quotes and numbers as Go reads and writes them.

The embedded store stands in for a server written in Go, down to its words about bodies that it
cannot read: clients look for these words.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

_SPACE = " \t\r\n"
_WORDS = {"t": "true", "f": "false", "n": "null"}
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_ESCAPES = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_ESCAPES |= {"\v": "\\v", '"': '\\"', "\\": "\\\\"}
_HTML = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}


class BodyError(Exception):
    """A body that Go cannot read, in its words."""


def decode(raw: bytes) -> Any:
    """The first JSON value of a body; what follows it is not looked at.

    Raises `BodyError`, and `EOFError` where there is nothing at all.
    """
    text = raw.decode(errors="replace")
    start = len(text) - len(text.lstrip(_SPACE))
    if start == len(text):
        raise EOFError
    try:
        value = _DECODER.raw_decode(text, start)[0]
    except RecursionError:
        raise BodyError("exceeded max depth") from None
    except ValueError:
        raise BodyError(_complaint(text, start)) from None
    return _paired(value) if "\\u" in text else value


def bind(value: Any, struct_name: str, fields: Mapping[str, str]) -> dict[str, Any]:
    """The fields of a request by name; a `BodyError` for the first one of a wrong type.

    As in Go, a name matches in any case, null means nothing was said, and unknown names are let be.
    """
    if value is None:
        return {}
    if type(value) is not dict:
        kind = _kind(value)
        raise BodyError(f"json: cannot unmarshal {kind} into Go value of type {struct_name}")
    bound: dict[str, Any] = {}
    known = {field.lower(): field for field in fields}
    for key, said in value.items():
        field = key if key in fields else known.get(key.lower())
        if field is not None and said is not None:
            path = f"{struct_name.removeprefix('api.')}.{field}"
            bound[field] = _bound(said, fields[field], path)
    return bound


def encode(value: Any) -> str:
    """One line of JSON with Go's escapes and numbers."""
    return "".join(_pieces(value)).translate(_HTML)


def quoted(text: str) -> str:
    """A text as `%q` prints it."""
    return f'"{"".join(_quoted_char(char) for char in text)}"'


def number(value: float) -> str:
    """A number as `%v` prints a float64: exponents from a million on."""
    digits = _digits(value)
    exponent = digits.adjusted()
    if not digits or -4 <= exponent < 6:
        return _plain(digits)
    return _with_exponent(digits, exponent, width=2)


def _bound(said: Any, type_name: str, path: str) -> Any:
    element = type_name.removeprefix("map[string]")
    if element != type_name and type(said) is dict:
        return {key: _bound(one, element, path) for key, one in said.items()}
    wanted = {"string": "string", "bool": "bool"}.get(type_name)
    wanted = wanted or ("object" if element != type_name else None)
    wanted = wanted or ("array" if type_name.startswith("[]") else None)
    if wanted is not None and said is not None and _kind(said) != wanted:
        raise BodyError(
            f"json: cannot unmarshal {_kind(said)} into Go struct field {path} of type {type_name}"
        )
    return "" if said is None and type_name == "string" else said


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return "number"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"


def _paired(value: Any) -> Any:
    """Half a surrogate pair, which is no character, becomes the sign for one that is unknown."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_paired(item) for item in value]
    if isinstance(value, dict):
        return {_paired(key): _paired(item) for key, item in value.items()}
    return value


def _no_constant(name: str) -> None:
    raise ValueError(name)


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def _complaint(text: str, start: int) -> str:
    """What Go says of a text that is no JSON: the first character that does not fit."""
    try:
        _Scanner(text, start).value()
    except BodyError as error:
        return str(error)
    except RecursionError:
        return "exceeded max depth"
    return "invalid character in JSON"  # a number that Python cannot hold


class _Scanner:
    """Walks over a JSON text in order to say where it goes wrong."""

    def __init__(self, text: str, at: int) -> None:
        self._text = text
        self._at = at

    def value(self) -> None:
        char = self._next()
        if char == "{":
            self._members()
        elif char == "[":
            self._elements()
        elif char == '"':
            self._string()
        elif char in _WORDS:
            self._word(_WORDS[char])
        elif char == "-" or char.isdecimal():
            self._number()
        else:
            self._wrong("looking for beginning of value")

    def _members(self) -> None:
        if self._next() == "}":
            return
        while True:
            if self._char() != '"':
                self._wrong("looking for beginning of object key string")
            self._string()
            if self._next() != ":":
                self._wrong("after object key")
            self.value()
            if (char := self._next()) == "}":
                return
            if char != ",":
                self._wrong("after object key:value pair")
            self._next()

    def _elements(self) -> None:
        if self._next() == "]":
            return
        self._at -= 1
        while True:
            self.value()
            if (char := self._next()) == "]":
                return
            if char != ",":
                self._wrong("after array element")

    def _string(self) -> None:
        while (char := self._step()) != '"':
            if char < " ":
                self._wrong("in string literal")
            if char == "\\":
                char = self._step()
                if char == "u":
                    for _ in range(4):
                        if self._step() not in "0123456789abcdefABCDEF":
                            self._wrong("in \\u hexadecimal character escape")
                elif char not in '"\\/bfnrt':
                    self._wrong("in string escape code")

    def _word(self, word: str) -> None:
        for expected in word[1:]:
            if self._step() != expected:
                self._wrong(f"in literal {word} (expecting '{expected}')")

    def _number(self) -> None:
        found = _NUMBER.match(self._text, self._at - 1)
        if found is None:
            self._step()
            self._wrong("in numeric literal")
        else:
            self._at = found.end()
            rest = self._text[self._at : self._at + 1]
            if rest == "." and not found[2] and not found[3]:
                self._at += 1
                self._step()
                self._wrong("after decimal point in numeric literal")
            if rest and rest in "eE" and not found[3]:
                self._at += 1
                if self._step() in "+-":
                    self._step()
                self._wrong("in exponent of numeric literal")

    def _next(self) -> str:
        while (char := self._step()) in _SPACE:
            pass
        return char

    def _step(self) -> str:
        if self._at >= len(self._text):
            raise BodyError("unexpected EOF")
        self._at += 1
        return self._char()

    def _char(self) -> str:
        return self._text[self._at - 1]

    def _wrong(self, where: str) -> None:
        char = self._char()
        shown = {"'": "\\'", '"': '"'}.get(char, quoted(char)[1:-1])
        raise BodyError(f"invalid character '{shown}' {where}")


def _pieces(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield "{"
        for n, (key, item) in enumerate(value.items()):
            yield f"{',' if n else ''}{json.dumps(key, ensure_ascii=False)}:"
            yield from _pieces(item)
        yield "}"
    elif isinstance(value, (list, tuple)):
        yield "["
        for n, item in enumerate(value):
            if n:
                yield ","
            yield from _pieces(item)
        yield "]"
    elif isinstance(value, float):
        yield _json_number(value)
    else:
        yield json.dumps(value, ensure_ascii=False)


def _json_number(value: float) -> str:
    if not math.isfinite(value):
        return "null"
    digits = _digits(value)
    exponent = digits.adjusted()
    if not digits or -6 <= exponent < 21:
        return _plain(digits)
    return _with_exponent(digits, exponent, width=1)


def _digits(value: float) -> Decimal:
    """The fewest digits that mean this number; of single precision where it fits into that."""
    if isinstance(value, float) and value == _single(value):
        for precision in range(1, 10):
            text = f"{value:.{precision}g}"
            if _single(float(text)) == value:
                return Decimal(text).normalize()
    return Decimal(repr(value)).normalize()


def _single(value: float) -> float | None:
    try:
        return float(struct.unpack("f", struct.pack("f", value))[0])
    except OverflowError:
        return None


def _plain(digits: Decimal) -> str:
    return format(digits, "f")


def _with_exponent(digits: Decimal, exponent: int, *, width: int) -> str:
    mantissa = _plain(digits.scaleb(-exponent).normalize())
    return f"{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):0{width}d}"


def _quoted_char(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char.isprintable():
        return char
    code = ord(char)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
