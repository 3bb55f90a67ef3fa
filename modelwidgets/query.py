"""The grammar of a search: from the text that somebody types to a tree of terms.

    words  "a phrase"  key<value  flag  -term  NOT term  one OR other  (in parentheses)

Terms side by side must all hold; NOT binds closest, then AND, then OR. Operators are written in
capitals, so that `and` stays a word. What cannot be read raises `SearchError`, which points at the
place. Queries are bounded in length, terms and depth before anything is done with them.
`frontend/src/query.ts` is the same for the page, held to this by `tests/data/search_cases.json`.
"""

from __future__ import annotations

from typing import NoReturn

from modelwidgets.errors import SearchError
from modelwidgets.query_lexer import Lexer, Token
from modelwidgets.query_tree import All, Either, Node, Not

MOST_CHARACTERS = 1000
MOST_DEPTH = 30


def parse(query: str) -> Node:
    """Read a query; an empty one has no terms, and every row fits.

    Raises `SearchError`, which points at what cannot be read.
    """
    if len(query) > MOST_CHARACTERS:
        raise SearchError(
            query[: MOST_CHARACTERS + 1],
            MOST_CHARACTERS,
            1,
            f"A search has at most {MOST_CHARACTERS} characters.",
            "Shorten it.",
        )
    tokens = Lexer(query).tokens()
    return _Parser(query, tokens).whole() if tokens else All(parts=())


class _Parser:
    """Puts terms together; the depth is counted, so that no query can exhaust the stack."""

    def __init__(self, query: str, tokens: list[Token]) -> None:
        self.query = query
        self.tokens = tokens
        self.at = 0

    def whole(self) -> Node:
        node = self._either(0)
        if self._peek() is not None:
            self._lacks(self._peek())
        return node

    def _either(self, depth: int) -> Node:
        parts = [self._all(depth)]
        while self._peek_sign() == "OR":
            self.at += 1
            parts.append(self._all(depth))
        return parts[0] if len(parts) == 1 else Either(parts=tuple(parts))

    def _all(self, depth: int) -> Node:
        parts: list[Node] = []
        between = self._before()
        while (token := self._peek()) is not None and token.sign not in (")", "OR"):
            if token.sign == "AND":
                if between is not None or not parts:
                    self._lacks(between or token)
                between, self.at = token, self.at + 1
                continue
            parts.append(self._not(depth))
            between = None
        if between is not None or not parts:
            self._lacks(between or self._peek())
        return parts[0] if len(parts) == 1 else All(parts=tuple(parts))

    def _not(self, depth: int) -> Node:
        token = self.tokens[self.at]
        self.at += 1
        if depth >= MOST_DEPTH and token.sign:
            problem = f"Parentheses and NOT may be nested {MOST_DEPTH} deep at most."
            self._fail(token, problem, "Write it in a simpler way.")
        if token.sign == "(":
            return self._parentheses(token, depth + 1)
        if token.sign in ("NOT", "-"):
            term = self._peek()
            if term is None or term.sign in (")", "AND", "OR"):
                step = "Write one, or put it in quotes to look for the text."
                self._fail(
                    token, f"`{token.sign}` needs a term after it.", step, unfinished=term is None
                )
            return Not(part=self._not(depth + 1))
        assert token.leaf is not None  # noqa: S101 - all signs are above
        return token.leaf

    def _parentheses(self, opening: Token, depth: int) -> Node:
        if self._peek_sign() == ")":
            self._fail(
                opening, "There is nothing between these parentheses.", "Write a term there."
            )
        node = self._either(depth) if self._peek() else None
        if node is None or self._peek() is None:
            self._fail(
                opening, "This `(` is not closed.", "Write `)` after its terms.", unfinished=True
            )
        self.at += 1
        return node

    def _before(self) -> Token | None:
        """The OR that a list of terms follows, which lacks one where there are none."""
        token = self.tokens[self.at - 1] if self.at else None
        return token if token is not None and token.sign == "OR" else None

    def _lacks(self, token: Token | None) -> NoReturn:
        assert token is not None  # noqa: S101 - callers know that there is a sign
        if token.sign == ")":
            step = "Take it away, or put it in quotes."
            self._fail(token, "This `)` has no `(` before it.", step, instead="")
        step = "Write one, or put it in quotes to look for the text."
        last = self.at >= len(self.tokens)
        self._fail(token, f"`{token.sign}` needs a term on both sides.", step, unfinished=last)

    def _peek(self) -> Token | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def _peek_sign(self) -> str | None:
        token = self._peek()
        return token.sign if token is not None else None

    def _fail(
        self,
        token: Token,
        problem: str,
        next_step: str,
        *,
        instead: str | None = None,
        unfinished: bool = False,
    ) -> NoReturn:
        raise SearchError(
            self.query,
            token.start,
            token.end - token.start,
            problem,
            next_step,
            instead=instead,
            unfinished=unfinished,
        )
