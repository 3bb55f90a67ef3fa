"""JSON, quotes, numbers and templates as a server written in Go has them."""

from __future__ import annotations

from typing import Any

import pytest

from modelwidgets.gguf import GgufHeader, HeaderReader
from modelwidgets.stores import capabilities, go_template
from modelwidgets.stores.golang import BodyError, bind, decode, encode, number, quoted
from modelwidgets.stores.samples import write_gguf


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"{", "unexpected EOF"),
        (b'{"a', "unexpected EOF"),
        (b'{"a":1', "unexpected EOF"),
        (b"[1", "unexpected EOF"),
        (b"nul", "unexpected EOF"),
        (b"not json", "invalid character 'o' in literal null (expecting 'u')"),
        (b'{"a":tru}', "invalid character '}' in literal true (expecting 'e')"),
        (b'{"a" 1}', "invalid character '1' after object key"),
        (b'{"a":1 x}', "invalid character 'x' after object key:value pair"),
        (b'{"a":01}', "invalid character '1' after object key:value pair"),
        (b"{a}", "invalid character 'a' looking for beginning of object key string"),
        (b'{"a":1,}', "invalid character '}' looking for beginning of object key string"),
        (b"[1,]", "invalid character ']' looking for beginning of value"),
        (b"[1 2]", "invalid character '2' after array element"),
        (b"x", "invalid character 'x' looking for beginning of value"),
        (b"'", "invalid character '\\'' looking for beginning of value"),
        (b'{"a":NaN}', "invalid character 'N' looking for beginning of value"),
        (b'{"a":"\x01"}', "invalid character '\\x01' in string literal"),
        (b'{"a":"\\q"}', "invalid character 'q' in string escape code"),
        (b'{"a":"\\u12x4"}', "invalid character 'x' in \\u hexadecimal character escape"),
        (b'{"a":-}', "invalid character '}' in numeric literal"),
        (b'{"a":1.}', "invalid character '}' after decimal point in numeric literal"),
        (b'{"a":1e}', "invalid character '}' in exponent of numeric literal"),
        (b"[" * 100_000, "exceeded max depth"),
    ],
)
def test_broken_bodies_are_described_as_go_describes_them(raw: bytes, words: str) -> None:
    """The first character that does not fit, and where."""
    with pytest.raises(BodyError) as broken:
        decode(raw)

    assert str(broken.value) == words


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b'{"a":1} trailing', {"a": 1}),
        (b" \n null", None),
        (b'{"a":"\xff"}', {"a": "\N{REPLACEMENT CHARACTER}"}),
        (b'{"a":"\\ud83d\\ude00"}', {"a": "\N{GRINNING FACE}"}),
        (b'{"a":["\\ud83d"]}', {"a": ["\N{REPLACEMENT CHARACTER}"]}),
    ],
)
def test_first_value_is_taken_and_made_writable(raw: bytes, value: Any) -> None:
    """What follows is let be; what is no character becomes the sign for that."""
    assert decode(raw) == value


def test_nothing_at_all_is_an_end() -> None:
    """An empty body is not a broken one."""
    with pytest.raises(EOFError):
        decode(b" \n")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "cannot unmarshal array into Go value of type api.PullRequest"),
        ("x", "cannot unmarshal string into Go value of type api.PullRequest"),
        (
            {"a": 5},
            "cannot unmarshal number into Go struct field PullRequest.a of type string",
        ),
        (
            {"A": True},
            "cannot unmarshal bool into Go struct field PullRequest.a of type string",
        ),
        (
            {"b": "x"},
            "cannot unmarshal string into Go struct field PullRequest.b of type bool",
        ),
        (
            {"m": {"x": []}},
            "cannot unmarshal array into Go struct field PullRequest.m of type string",
        ),
        (
            {"m": "x"},
            "cannot unmarshal string into Go struct field PullRequest.m of type map[string]string",
        ),
        (
            {"l": {}},
            "cannot unmarshal object into Go struct field PullRequest.l of type []api.Message",
        ),
    ],
)
def test_fields_of_a_wrong_type_are_named(value: Any, words: str) -> None:
    """With the type that Go wanted there."""
    fields = {"a": "string", "b": "bool", "m": "map[string]string", "l": "[]api.Message"}

    with pytest.raises(BodyError) as wrong:
        bind(value, "api.PullRequest", fields)

    assert str(wrong.value) == f"json: {words}"


def test_fields_match_in_any_case_and_null_says_nothing() -> None:
    """As Go binds them."""
    fields = {"model": "string", "stream": "bool", "m": "map[string]string"}

    bound = bind({"MODEL": "x", "stream": None, "other": 5, "m": {"a": None}}, "api.X", fields)

    assert bound == {"model": "x", "m": {"a": ""}}
    assert bind(None, "api.X", fields) == {}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-05, "0.00001"),
        (9.999999747378752e-06, "0.00001"),
        (0.10000000149011612, "0.1"),
        (0.1, "0.1"),
        (1e-12, "1e-12"),
        (1e-7, "1e-7"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (1.5e300, "1.5e+300"),
        (3.0, "3"),
        (0.0, "0"),
        (-2.5, "-2.5"),
        (float("nan"), "null"),
        ({"b": [1, True, None, "<&>"]}, '{"b":[1,true,null,"\\u003c\\u0026\\u003e"]}'),
        ("\u2028\u00e9", '"\\u2028\u00e9"'),
    ],
)
def test_values_are_written_as_go_writes_them(value: Any, text: str) -> None:
    """Few digits, single precision where it is that, and no character that HTML minds."""
    assert encode(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (512, "512"),
        (131072, "131072"),
        (1_000_000, "1e+06"),
        (1_048_576, "1.048576e+06"),
        (0.7, "0.7"),
        (0.00001, "1e-05"),
        (-1, "-1"),
        (0, "0"),
    ],
)
def test_numbers_are_printed_as_go_prints_them(value: float, text: str) -> None:
    """In the parameters of a model."""
    assert number(value) == text


def test_texts_are_quoted_as_go_quotes_them() -> None:
    """In the words of errors."""
    assert quoted('a\nb\x00"\\\u00e9\U000e0001') == '"a\\nb\\x00\\"\\\\\u00e9\\U000e0001"'


@pytest.mark.parametrize(
    ("template", "found"),
    [
        ("{{ .Prompt }}", []),
        ("{{ .System }}{{ if .Tools }}{{ .Tools }}{{ end }}", ["tools"]),
        ("{{- range $.Tools }}x{{ end -}}", ["tools"]),
        ("{{ .Suffix }}", ["insert"]),
        ('{{ "a .Tools }} text" }}', []),
        ("{{/* .Tools */}}", []),
        (
            "{{ range .Messages }}{{ if .x }}<think>{{ .Thinking }}</think>{{ end }}{{ end }}",
            ["thinking"],
        ),
        ("{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}", []),
        ("{{ range .Messages }}{{ .Thinking }}{{ end }}", []),
        ("{{ if .Tools }}", []),
    ],
)
def test_templates_tell_what_a_model_can_do(template: str, found: list[str]) -> None:
    """By the values they use; one that is broken tells nothing."""
    assert go_template.capabilities(template) == found


@pytest.mark.parametrize(
    "text", ["{{ if .x }}", "{{ end }}", "{{ else }}", "{{ .x", "{{ range }}{{"]
)
def test_broken_templates_are_refused(text: str) -> None:
    """Where actions do not close."""
    with pytest.raises(ValueError, match="template"):
        go_template.parse(text)


def header(**metadata: Any) -> GgufHeader:
    named = {key.replace("__", "."): value for key, value in metadata.items()}
    read = HeaderReader().feed(write_gguf({"general.architecture": "llama", **named}))
    assert read is not None
    return read


CHAT = "{% if tools %}tool_calls tool_response <think></think>{% endif %}"


@pytest.mark.parametrize(
    ("config", "head", "template", "listed", "shown"),
    [
        ({}, header(), None, ["completion"], ["completion"]),
        ({}, header(llama__pooling_type=1), None, ["embedding"], ["embedding"]),
        (
            {},
            header(llama__vision__block_count=3),
            None,
            ["vision", "completion"],
            ["completion", "vision"],
        ),
        ({}, header(), "{{ .Tools }}", ["completion", "tools"], ["completion", "tools"]),
        (
            {"parser": "qwen3-thinking"},
            header(),
            None,
            ["completion", "tools", "thinking"],
            ["completion", "tools", "thinking"],
        ),
        (
            {"model_family": "gptoss"},
            header(),
            None,
            ["completion", "thinking"],
            ["completion", "thinking"],
        ),
        (
            {},
            header(tokenizer__chat_template=CHAT),
            None,
            ["completion"],
            ["tools", "thinking", "completion"],
        ),
        (
            {},
            header(tokenizer__chat_template=CHAT),
            "{{ .Prompt }}",
            ["completion"],
            ["tools", "thinking", "completion"],
        ),
        (
            {"capabilities": ["audio"]},
            header(),
            None,
            ["completion", "audio"],
            ["audio", "completion"],
        ),
    ],
)
def test_capabilities_follow_from_config_header_and_template(
    config: dict[str, Any],
    head: GgufHeader,
    template: str | None,
    listed: list[str],
    shown: list[str],
) -> None:
    """In the list and in the details, each in its own way."""
    assert capabilities.listed(config, head, template, projector=False) == listed
    assert capabilities.shown(config, head, template, []) == shown


def test_better_template_of_the_header_is_the_one_shown() -> None:
    """Where it can do more than the layer, unless the server renders itself."""
    head = header(tokenizer__chat_template=CHAT)

    assert capabilities.shown_template({}, head, "{{ .Prompt }}") == CHAT
    assert (
        capabilities.shown_template({"parser": "qwen3"}, head, "{{ .Prompt }}") == "{{ .Prompt }}"
    )
    assert capabilities.shown_template({}, header(), None) == "{{ .Prompt }}"
