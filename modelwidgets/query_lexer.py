"""Cuts a search into signs and terms, and reads each term."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn

from modelwidgets.errors import SearchError
from modelwidgets.query_tree import Compare, Flag, Leaf, Match, Text
from modelwidgets.terms import (
    A_VALUE,
    ALIASES,
    CAPABILITIES,
    CLOSED,
    EXAMPLES,
    FLAGS,
    KINDS,
    WRITE,
    Kind,
    fold,
    key_of,
    nearest,
    read_value,
    typo,
)

MOST_TERMS = 64

WHITE = "\t\n\v\f\r \xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
"""What separates words, as a set of a regular expression: the same in Python and JavaScript."""

SPACE = re.compile(f"[{WHITE}]*")
WORD = re.compile(f"[^{WHITE}()]+")
_OPERATOR = re.compile(f"(AND|OR|NOT)(?=[{WHITE}()]|$)")
PHRASE = re.compile(r'"((?:[^"]|"")*)("?)')
KEY = re.compile(f"([A-Za-z_]+)[{WHITE}]*(<=|>=|!=|==|<|>|=|:)[{WHITE}]*")
_APART = re.compile(f"([0-9.]+)[{WHITE}]+([A-Za-z]+)(?=[{WHITE}()]|$)")
"""A number whose unit stands apart from it: `3 gb`."""
_COMPARES = re.compile(r"[<>=]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    start: int
    end: int
    sign: str
    """`(`, `)`, `AND`, `OR`, `NOT`, `-`; empty for a term."""
    leaf: Leaf | None = None


class Lexer:
    """Cuts a query into signs and terms."""

    def __init__(self, query: str) -> None:
        self.query = query
        self.at = 0

    def tokens(self) -> list[Token]:
        tokens: list[Token] = []
        terms = 0
        while (token := self._next()) is not None:
            terms += token.leaf is not None
            if terms > MOST_TERMS:
                self._fail(
                    token.start,
                    token.end,
                    f"A search has at most {MOST_TERMS} terms.",
                    "Shorten it.",
                )
            tokens.append(token)
        return tokens

    def _next(self) -> Token | None:
        query = self.query
        start = self.at = after(SPACE, self.query, self.at)
        if start == len(query):
            return None
        if query[start] in "()":
            return self._sign(query[start])
        if found := _OPERATOR.match(query, start):
            return self._sign(found[1])
        following = query[start + 1 : start + 2]
        if query[start] == "-" and (not following or not SPACE.fullmatch(following)):
            return self._sign("-")
        if query[start] == '"':
            leaf: Leaf = Text(text=fold(self._phrase()))
        elif (found := KEY.match(query, start)) and self._is_key(found):
            leaf = self._term(found)
        else:
            leaf = self._word()
        return Token(start=start, end=self.at, sign="", leaf=leaf)

    def _sign(self, sign: str) -> Token:
        start, self.at = self.at, self.at + len(sign)
        return Token(start=start, end=self.at, sign=sign)

    def _phrase(self) -> str:
        start = self.at
        found = PHRASE.match(self.query, start)
        assert found  # noqa: S101 - it starts with a quote
        self.at = found.end()
        if not found[2]:
            self._fail(
                start,
                self.at,
                "This quote is not closed.",
                'Write `"` at its end.',
                unfinished=True,
            )
        if not found[1]:
            self._fail(
                start,
                self.at,
                "There is nothing between these quotes.",
                "Write a text there.",
                unfinished=True,
            )
        return found[1].replace('""', '"')

    def _is_key(self, found: re.Match[str]) -> bool:
        """Whether a word before an operator is a key; `qwen3:8b` is the name of a model."""
        end, known = found.end(1), key_of(found[1]) is not None
        if known or found.start(2) != end:  # or it is a word, and the operator stands alone
            return known
        meant = typo(found[1]) if found[2] == ":" else nearest(found[1], [*KINDS, *ALIASES])
        if found[2] == ":" and meant is None:
            return False
        word = self.query[found.start() : after(WORD, self.query, end)]
        quote = f' Put it in quotes to look for the text: `"{word}"`.' if found[2] == ":" else ""
        step = _meant(meant, quote) if meant else f"The keys are {', '.join(KINDS)}."
        self._fail(found.start(), end, f"There is no key `{found[1]}`.", step, instead=meant)
        return False

    def _term(self, found: re.Match[str]) -> Leaf:
        key = key_of(found[1])
        assert key  # noqa: S101 - see `_is_key`
        op, kind = found[2], KINDS[key]
        written = found[1].lower()
        self._check_operator(found, written, kind)
        self.at = start = found.end()
        quoted = self.query[start : start + 1] == '"'
        if quoted:
            text = self._phrase()
        else:
            word = WORD.match(self.query, start)
            if word is None:
                example = f"Write it like `{written}{EXAMPLES[key]}`."
                problem = f"`{written}{op}` needs a value."
                self._fail(
                    found.start(),
                    found.end(2),
                    problem,
                    example,
                    unfinished=start == len(self.query),
                )
            text, self.at = word[0], word.end()
        if kind == "text":
            value = fold(text)
            if key in CLOSED:
                self._check_closed(key, op, value, start)
            return Match(key=key, op=op, text=value)
        apart = _APART.match(self.query, start)
        if apart and (read := read_value(kind, op, apart[1] + apart[2])):
            self.at = apart.end()
            return Compare(key=key, op=op, value=read, shown=apart[1] + apart[2])
        read = read_value(kind, op, text)
        if read is None:
            last = after(SPACE, self.query, self.at) == len(self.query)
            problem = f"`{text}` is no {A_VALUE[kind]}."
            self._fail(start, self.at, problem, WRITE[kind], unfinished=last)
        return Compare(key=key, op=op, value=read, shown=text)

    def _check_operator(self, found: re.Match[str], written: str, kind: Kind) -> None:
        op, place = found[2], found.span(2)
        if op == "!=":
            step = f"Write `-{written}=` with the value, or NOT before the term."
            self._fail(*place, "There is no operator `!=`.", step)
        if op == "==":
            self._fail(*place, "There is no operator `==`.", "Write `=`.", instead="=")
        if kind == "text" and op not in "=:":
            step = f"Write `{written}:` for a part of it, `{written}=` for the whole."
            self._fail(
                *place, f"`{written}` is a text, which `{op}` cannot compare.", step, instead=":"
            )

    def _check_closed(self, key: str, op: str, value: str, start: int) -> None:
        valid = CLOSED[key]
        if value in valid or (op == ":" and any(value in one for one in valid)):
            return
        meant = nearest(value, list(valid))
        problem = f"There is no {key} `{self.query[start : self.at]}`."
        step = _meant(meant) if meant else f"Use one of {', '.join(valid)}."
        self._fail(start, self.at, problem, step, instead=meant)

    def _word(self) -> Leaf:
        start = self.at
        word = WORD.match(self.query, start)
        assert word  # noqa: S101 - neither space nor parenthesis nor the end
        self.at = word.end()
        text = fold(word[0])
        if text in FLAGS or text in CAPABILITIES:
            return Flag(name=text)
        if found := _COMPARES.search(word[0]):
            self._fail(
                start + found.start(),
                start + found.end(),
                f"`{found[0]}` needs a key before it.",
                "Write it like `size<8GB`; put a text that has such a sign in quotes.",
            )
        return Text(text=text)

    def _fail(
        self,
        start: int,
        end: int,
        problem: str,
        next_step: str,
        *,
        instead: str | None = None,
        unfinished: bool = False,
    ) -> NoReturn:
        raise SearchError(
            self.query,
            start,
            end - start,
            problem,
            next_step,
            instead=instead,
            unfinished=unfinished,
        )


def after(pattern: re.Pattern[str], text: str, at: int) -> int:
    """Where a pattern ends that may stand at a place."""
    found = pattern.match(text, at)
    return found.end() if found else at


def _meant(word: str, more: str = "") -> str:
    return f"Did you mean `{word}`?{more}"
