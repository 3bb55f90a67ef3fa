"""YAML that people write, and YAML that was written to hurt."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from modelwidgets import yaml_file
from modelwidgets.yaml_file import LARGEST_BYTES, UnreadableError, parse, read_bytes


@pytest.fixture(params=["libyaml", "pure Python"], autouse=True)
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything here holds for both parsers of PyYAML; not every machine has libyaml."""
    if request.param == "pure Python":
        monkeypatch.delattr(yaml, "CBaseLoader")


def test_values_stay_the_texts_they_are() -> None:
    """No digest becomes a number, no licence a truth, no date a date."""
    tree = parse(b"a: 012345670123\nb: no\nc: 2026-08-21\nd: 1e9\ne: 3:20\nf: '~'\n")

    assert tree == {
        "@line": 1,
        "a": "012345670123",
        "b": "no",
        "c": "2026-08-21",
        "d": "1e9",
        "e": "3:20",
        "f": "~",
    }


def test_what_is_left_empty_is_none() -> None:
    """`license:` with nothing behind it, `~` and `null` all mean that it is not known."""
    assert parse(b"a:\nb: ~\nc: null\nd: ''\n") == {
        "@line": 1,
        "a": None,
        "b": None,
        "c": None,
        "d": "",
    }


def test_each_mapping_knows_its_line() -> None:
    """Block and flow mappings carry the line on which they start."""
    tree = parse(b"# head\nmodels:\n- name: a\n  tags:\n  - {tag: x}\n\n- name: b\n")

    assert [entry["@line"] for entry in tree["models"]] == [3, 7]
    assert tree["models"][0]["tags"][0] == {"@line": 5, "tag": "x"}


@pytest.mark.parametrize("raw", [b"", b"# only words\n", b"---\n"])
def test_an_empty_file_is_none(raw: bytes) -> None:
    """Whoever reads it says what is missing."""
    assert parse(raw) is None


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    """Editors on Windows write one."""
    assert parse(b"\xef\xbb\xbfa: 1\n") == {"@line": 1, "a": "1"}


@pytest.mark.parametrize(
    ("raw", "line", "why"),
    [
        (b"a: 1\nb: [1, 2\nc: 3\n", 3, "expected ',' or ']'"),
        (b"a: 1\n- b\n", 2, "expect"),
        (b"a: 1\n\tb: 2\n", 2, "tab|\\\\t"),
        (b"a: 1\na: 2\n", 2, "'a' stands twice in one entry"),
        (b"a: 1\n---\nb: 2\n", 2, "a second document"),
        (b"a: 1\n? [b]\n: 2\n", 2, "a key must be a text"),
        (b"a: 1\nb: &x 2\n", 2, "anchors"),
        (b"a: !!python/object/apply:os.system [ls]\n", 1, "tags"),
        (b"a: 1\nb: \xff\xfe\n", 2, "not UTF-8"),
        ("a: é\nb: \x07\n".encode(), 2, "the character 0x7"),
    ],
)
def test_what_is_no_plain_yaml_is_refused_with_its_line(raw: bytes, line: int, why: str) -> None:
    """A message leads to the place that is wrong, and says what is wrong there."""
    with pytest.raises(UnreadableError, match=why) as refused:
        parse(raw)

    assert refused.value.line == line


def test_a_bomb_of_aliases_is_refused_before_it_grows() -> None:
    """Nine lists of nine aliases each would be billions of texts; they are never made."""
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]

    with pytest.raises(UnreadableError, match=r"line 1: anchors"):
        parse("\n".join(lines).encode())
    with pytest.raises(UnreadableError, match=r"line 1: aliases"):
        parse(b"a: *b\n")


@pytest.mark.parametrize("piece", [b"[", b"{a: ", b"- "])
def test_deep_nesting_is_refused_and_does_not_end_the_process(piece: bytes) -> None:
    """100,000 brackets overflow the stack of the C composer, so nothing here recurses."""
    with pytest.raises(UnreadableError, match="nested deeper than 12 levels"):
        parse(piece * 100_000)


def test_a_huge_file_is_refused_before_it_is_read_whole(tmp_path: Path) -> None:
    """A catalog is a few hundred kB; more than 4 MiB is something else."""
    huge = tmp_path / "catalog.yaml"
    with huge.open("wb") as file:
        file.truncate(LARGEST_BYTES * 1000)

    with pytest.raises(UnreadableError, match="larger than 4 MiB"):
        read_bytes(huge)


def test_the_line_mark_cannot_be_forged() -> None:
    """A file cannot say that an entry stands elsewhere."""
    with pytest.raises(UnreadableError, match="stands twice"):
        parse(f'"{yaml_file.LINE}": 7\n'.encode())
