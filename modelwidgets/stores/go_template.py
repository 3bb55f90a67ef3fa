"""What a prompt template in Go's language gives away about its model.

Only the structure is read, nothing is rendered: which values it uses tells what the model can do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_STRING = re.compile(r'"(?:\\.|[^"\\])*"|`[^`]*`|\'(?:\\.|[^\'\\])*\'')
_ACTION = re.compile(
    r"\{\{(-(?=\s))?"
    rf"(\s*/\*.*?\*/\s*|(?:{_STRING.pattern}|[^\"`'])*?)"
    r"((?<=\s)-)?\}\}",
    re.DOTALL,
)
_COMMENT = re.compile(r"\s*/\*.*\*/\s*", re.DOTALL)
_FIELD = re.compile(r"\.([A-Za-z_]\w*)")
_OWN_FIELD = re.compile(r"(?<![\w)])\.([A-Za-z_]\w*)")
_OPENING = frozenset({"if", "range", "with", "block", "define"})


@dataclass(slots=True)
class _Text:
    text: str


@dataclass(slots=True)
class _Action:
    """An action, with the lists it encloses if it opens any."""

    word: str
    code: str
    lists: list[list[_Node]] = field(default_factory=list)


_Node = _Text | _Action


def parse(text: str) -> list[_Node]:
    """The template as a tree; raises `ValueError` where its actions do not close."""
    root: list[_Node] = []
    open_lists, open_actions = [root], list[_Action]()
    for node in _nodes(text):
        if isinstance(node, _Text):
            open_lists[-1].append(node)
        elif node.word == "end":
            if not open_actions:
                raise ValueError("template: unexpected {{end}}")
            open_actions.pop()
            open_lists.pop()
        elif node.word == "else":
            if not open_actions:
                raise ValueError("template: unexpected {{else}}")
            other: list[_Node] = [_Action("if", node.code)] if node.code else []
            open_actions[-1].lists.append(other)
            open_lists[-1] = other
        else:
            open_lists[-1].append(node)
            if node.word in _OPENING:
                node.lists.append([])
                open_actions.append(node)
                open_lists.append(node.lists[0])
    if open_actions:
        raise ValueError("template: unexpected EOF")
    return root


def capabilities(text: str) -> list[str]:
    """What the template has places for: tools, insertion, thinking."""
    try:
        tree = parse(text)
    except ValueError:
        return []
    used = {name.lower() for action in _actions(tree) for name in _FIELD.findall(action.code)}
    found = [word for name, word in (("tools", "tools"), ("suffix", "insert")) if name in used]
    return [*found, "thinking"] if all(_thinking_tags(tree)) else found


def has_tool_round_trip(text: str) -> bool:
    """Whether it takes both the calls of tools and their answers."""
    try:
        tree = parse(text)
    except ValueError:
        return False
    used = {name.lower() for action in _actions(tree) for name in _FIELD.findall(action.code)}
    marks = ('eq .Role "tool"', "tool_response", "TOOL_RESULTS")
    return {"tools", "toolcalls"} <= used and any(mark in text for mark in marks)


def _thinking_tags(tree: list[_Node]) -> tuple[str, str]:
    """The texts around the thoughts of a message, as Ollama guesses them."""
    opening = closing = ""

    def visit(nodes: list[_Node], *, in_messages: bool) -> None:
        nonlocal opening, closing
        for node in nodes:
            if isinstance(node, _Text):
                continue
            if in_messages and "Thinking" in _OWN_FIELD.findall(node.code):
                if isinstance(nodes[0], _Text):
                    opening = nodes[0].text.strip()
                if isinstance(nodes[-1], _Text):
                    closing = nodes[-1].text.strip()
            inside = in_messages
            if node.word == "range":
                inside = "Messages" in _OWN_FIELD.findall(node.code)
            for inner in node.lists:
                visit(inner, in_messages=inside)

    visit(tree, in_messages=False)
    return opening, closing


def _actions(nodes: list[_Node]) -> Iterator[_Action]:
    for node in nodes:
        if isinstance(node, _Action):
            yield node
            for inner in node.lists:
                yield from _actions(inner)


def _nodes(text: str) -> Iterator[_Node]:
    at = 0
    trim = False
    for found in _ACTION.finditer(text):
        before = text[at : found.start()]
        yield from _text(before.lstrip() if trim else before, trim_end=bool(found[1]))
        at, trim = found.end(), bool(found[3])
        if not _COMMENT.fullmatch(found[2]):
            word, _, code = _STRING.sub('""', found[2]).strip().partition(" ")
            plain = word in (*_OPENING, "else", "end")
            yield _Action(word if plain else "", code if plain else f"{word} {code}")
    rest = text[at:]
    if "{{" in rest:
        raise ValueError("template: unclosed action")
    yield from _text(rest.lstrip() if trim else rest, trim_end=False)


def _text(text: str, *, trim_end: bool) -> Iterator[_Text]:
    text = text.rstrip() if trim_end else text
    if text:
        yield _Text(text)
