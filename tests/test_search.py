"""What a search finds, points at and completes: the cases that the page shares, and its bounds."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwidgets import library, terms
from modelwidgets.completion import complete
from modelwidgets.errors import SearchError
from modelwidgets.query import MOST_CHARACTERS, parse
from modelwidgets.query_tree import Node, Not, leaves
from modelwidgets.search import Known, search, values_of
from tests.search_cases import FILE, cases, known_of, record_of

CASES = cases()
KNOWN = known_of(CASES)
ROWS = {
    kind: [record_of(CASES, kind, row) for row in CASES[kind]] for kind in ("installed", "catalog")
}
WORDS = (
    *("size", "params", "ctx", "quant", "updated", "age", "category", "siz", "foo", "qwen3:8b"),
    *("<", "<=", ">", ">=", "=", ":", "!=", '"', "(", ")", "-", "AND", "OR", "NOT", " ", " ", "  "),
    *("8GB", "7b", "128k", "q4", "2026-01", "30d", "chat", "vision", "fits", "installed"),
    *("ß", "\u202e", "\x00", "\n", "\U0001f600"),
)
QUERIES = st.lists(st.sampled_from(WORDS), max_size=40).map("".join) | st.text(max_size=60)


def _read(query: str) -> Node | SearchError:
    try:
        return parse(query)
    except SearchError as error:
        return error


def _named(case: dict[str, Any]) -> str:
    return ascii(case["query"][:40])


@pytest.mark.parametrize("case", CASES["finds"], ids=_named)
def test_a_query_finds_its_rows(case: dict[str, Any]) -> None:
    """Names, the note on what is not known and the tags that match are as the file says."""
    known = None if case.get("nothing_known") else KNOWN

    found = search(case["query"], ROWS[case["rows"]], known)

    assert [row.name for row in found] == case["names"]
    assert found.note == case.get("note", "")
    if "tags" in case:
        assert [name for names in found.matching.values() for name in names] == case["tags"]


@pytest.mark.parametrize("case", CASES["errors"], ids=_named)
def test_a_mistake_is_pointed_at(case: dict[str, Any]) -> None:
    """Place, words, next step and what was probably meant are those of the shared file."""
    with pytest.raises(SearchError) as raised:
        parse(case["query"])

    error = raised.value
    assert {
        "query": error.query,
        "place": error.query[error.offset : error.offset + error.length],
        "offset": error.offset,
        "problem": error.problem,
        "next_step": error.next_step,
        "instead": error.instead,
        "unfinished": error.unfinished,
    } == case


@pytest.mark.parametrize("case", CASES["completions"], ids=_named)
def test_a_completion_offers_what_could_stand_there(case: dict[str, Any]) -> None:
    """What is replaced and what is offered are those of the shared file."""
    query = case["query"].replace("|", "")

    done = complete(query, case["query"].index("|"), CASES["values"])

    assert query[done.start : done.end] == case["replaces"]
    assert (done.start, list(done.texts)) == (case["start"], case["texts"])


def test_python_knows_the_words_of_the_shared_file() -> None:
    """Keys, flags and closed lists agree with the page's, which is held against the same file."""
    assert {
        "keys": terms.KINDS,
        "aliases": terms.ALIASES,
        "flags": list(terms.FLAGS),
        "capabilities": list(terms.CAPABILITIES),
        "closed": {key: list(values) for key, values in terms.CLOSED.items()},
        "examples": terms.EXAMPLES,
    } == CASES["vocabulary"]
    assert terms.CLOSED["category"] == library.CATEGORIES
    assert terms.CLOSED["type"] == library.TYPES


def test_the_error_shows_the_place_with_carets() -> None:
    """A terminal and a notebook see the query and, under it, carets below the wrong part."""
    with pytest.raises(SearchError) as raised:
        parse("vision siez<8GB")

    assert str(raised.value).splitlines()[-2:] == ["  vision siez<8GB", "         ^^^^"]


def test_carets_stand_right_under_wide_and_hidden_letters() -> None:
    """Wide letters take two columns, and what is not seen is spelled out, also of the query."""
    with pytest.raises(SearchError) as raised:
        parse("模型\u202e siez<8GB")

    *_, shown, carets = str(raised.value).splitlines()
    assert shown == "  模型\\u202e siez<8GB"
    assert carets == " " * 13 + "^^^^"


def test_a_long_query_is_shown_around_the_place() -> None:
    """Of a query that fills the screen only the part around the mistake is shown."""
    with pytest.raises(SearchError) as raised:
        parse("word " * 30 + "siez<8GB" + " word" * 30)

    *_, shown, carets = str(raised.value).splitlines()
    assert len(shown) < 80
    assert shown[carets.index("^") :].startswith("siez<8GB")


@pytest.mark.parametrize(
    "query",
    [
        "a" * 100_000,
        "(" * 10_000,
        "(" * 900,
        "-" * 900,
        "NOT " * 249,
        "(a " * 333,
        "a " * 400,
        '"' * 99,
    ],
    ids=lambda query: f"{query[:4]}x{len(query)}",
)
def test_hostile_queries_are_refused_early(query: str) -> None:
    """Length, terms and depth are bounded, so that nothing hangs or exhausts the stack."""
    started = time.perf_counter()

    with pytest.raises(SearchError):
        parse(query)

    assert time.perf_counter() - started < 0.5


@settings(max_examples=200, deadline=None)
@given(QUERIES)
def test_a_query_reads_the_same_after_it_was_written_out(query: str) -> None:
    """Whatever is typed is read or refused, searched without a crash, and means what it says."""
    node = _read(query)
    if isinstance(node, SearchError):
        assert 0 <= node.offset <= node.offset + node.length <= len(node.query)
        assert node.problem
        assert node.next_step
        return

    written = str(node)
    if len(written) <= MOST_CHARACTERS:
        assert parse(written) == node
        assert str(parse(written)) == written
    for rows in ROWS.values():
        assert [row.name for row in search(node, rows, KNOWN)] == [
            row.name for row in search(query, rows, KNOWN)
        ]


@settings(max_examples=100, deadline=None)
@given(QUERIES)
def test_what_is_known_is_never_lost_between_a_term_and_its_opposite(query: str) -> None:
    """Of one model a query is true, false or not known, and NOT turns only the first two."""
    node = _read(query)
    if isinstance(node, SearchError) or str(node) == "":
        return
    for row in ROWS["installed"]:
        kept = search(query, [row], KNOWN)
        opposite = search(Not(part=node), [row], KNOWN)

        assert len(kept) + len(opposite) + bool(kept.note) == 1
        assert kept.note == opposite.note


@settings(max_examples=150, deadline=None)
@given(QUERIES, st.integers(0, 60))
def test_completing_never_fails(query: str, cursor: int) -> None:
    """Every offer replaces a part around the cursor."""
    at = min(cursor, len(query))

    done = complete(query, at, CASES["values"])

    assert 0 <= done.start <= at <= done.end <= len(query)


def test_no_family_of_the_catalog_is_taken_for_a_misspelt_key() -> None:
    """Full names of the catalog can be pasted into the box, whatever their family is called."""
    for model in library.load_catalog().models:
        for tag in model.tags:
            assert [row.name for row in search(tag.name, [model])] == [model.name]


def test_the_fit_check_only_has_to_supply_the_fact() -> None:
    """`fits` and its opposite follow what is known, by name however it is spelt."""
    rows = ROWS["catalog"]

    nothing = search("fits OR NOT fits", rows)
    found = search("fits", rows, Known(fits={"registry.ollama.ai/library/llava:7b": True}))

    assert (list(nothing), nothing.note) == (
        [],
        "Not known for 5 models: fits. They are left out.",
    )
    assert [row.name for row in found] == ["llava"]
    assert found.matching == {"llava": ("llava:7b",)}


def test_values_to_complete_come_from_the_rows_common_ones_first() -> None:
    """What no row has is not offered."""
    values = values_of(ROWS["catalog"])

    assert values["quant"] == ["f16", "q4_0", "q4_k_m", "q8_0"]
    assert values["license"] == ["apache-2.0", "mit"]
    assert values["publisher"] == ["alibaba", "baai", "mistral ai"]


def test_every_search_of_the_page_can_be_read() -> None:
    """The reference of the language shows every key and flag, and no search that is a mistake."""
    page = (FILE.parents[2] / "docs" / "search.md").read_text(encoding="utf-8")
    tables = [line.split("|") for line in page.splitlines() if line.startswith("| ")]
    titled = {"Search": 1, "Key": 3, "Flag": 1}
    searches: list[str] = []
    column = 1
    for cells in tables:
        column = titled.get(cells[1].strip(), column)
        searches += re.findall("`([^`]+)`", cells[column])
    keys = {cells[1].strip(" `") for cells in tables} & set(terms.KINDS)

    trees = {query: parse(query) for query in searches}

    assert len(trees) > 50
    assert keys == set(terms.KINDS)
    assert {f"{leaf}" for tree in trees.values() for leaf in leaves(tree)} >= {
        *terms.FLAGS,
        *terms.CAPABILITIES,
    }
