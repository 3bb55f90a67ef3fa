"""Names are read as a real server reads them."""

from __future__ import annotations

import json

import pytest

from modelwidgets.errors import InvalidNameError
from modelwidgets.names import normalised, parse, same
from tests.recordings import Exchange, exchanges


def asked_names(file: str) -> dict[str, Exchange]:
    """The names of a recording, each with what the server answered."""
    found = {}
    for one in exchanges(file):
        asked = json.loads(one.asked or "{}")
        name = asked.get("model", asked.get("source"))
        if name == "src":  # here the destination was the name in question
            name = asked["destination"]
        found[name] = one
    return found


def is_refused(name: str) -> bool:
    try:
        parse(name)
    except InvalidNameError:
        return True
    return False


@pytest.mark.parametrize(
    "file", ["bad-names-pull", "bad-names-show", "bad-names-delete", "bad-names-copy"]
)
def test_a_name_is_refused_exactly_where_the_server_refuses_it(file: str) -> None:
    """What got the status 400 is no name for us either, and all the rest is one."""
    names = asked_names(file)

    refused = {name for name in names if is_refused(name)}

    assert len(names) == 24
    assert refused == {name for name, one in names.items() if one.status == 400}


def test_a_pulled_name_is_looked_up_where_the_server_looked_it_up() -> None:
    """Host, namespace, model and tag are those of the request that the server made."""
    looked_up = {}
    for name, one in asked_names("bad-names-pull").items():
        if one.status == 200:
            parts = parse(name)
            url = f"{parts.host}/v2/{parts.namespace}/{parts.model}/manifests/{parts.tag}"
            looked_up[name] = f'https://{url}"' in json.loads(one.texts[-1])["error"]

    assert looked_up == dict.fromkeys(looked_up, True)
    assert len(looked_up) == 7


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("llama3.2", "llama3.2:latest"),
        ("llama3.2:3b", "llama3.2:3b"),
        ("library/llama3.2", "llama3.2:latest"),
        ("registry.ollama.ai/library/llama3.2:3b", "llama3.2:3b"),
        ("https://registry.ollama.ai/library/llama3.2", "llama3.2:latest"),
        ("user/Model:Q8_0", "user/Model:Q8_0"),
        ("hf.co/org/Some.Repo-GGUF:Q4_K_M", "hf.co/org/Some.Repo-GGUF:Q4_K_M"),
        ("127.0.0.1:5000/samples/chat", "127.0.0.1:5000/samples/chat:latest"),
        ("http://127.0.0.1:5000/samples/chat:tiny", "127.0.0.1:5000/samples/chat:tiny"),
        ("x:local", "x:latest"),
        ("x:20b:local", "x:20b"),
        ("x:cloud", "x:cloud"),
        ("x:20b:cloud", "x:20b-cloud"),
        ("x:120b-cloud", "x:120b-cloud"),
    ],
)
def test_a_name_is_shown_as_ollama_shows_it(text: str, shown: str) -> None:
    """Default host, namespace and scheme are dropped, the tag never; reading it again is safe."""
    name = parse(text)

    assert str(name) == shown
    assert parse(str(name)) == name


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "empty"),
        ("x:", "tag after the colon is empty"),
        (":tag", "model is empty"),
        ("a//b", "namespace is empty"),
        ("a/b/c/d", "more parts"),
        ("user.name/x", "namespace"),
        ("-x", "starts with"),
        ("x" * 81, "model is longer than 80"),
        ("x:" + "t" * 81, "tag is longer than 80"),
        ("x" * 2000, "longer than"),
        ("model\x00", "model may hold only"),
        ("x:20b-cloud:local", "contradict"),
        ("hf:org/repo", "HuggingFace cache"),
        ("modèle", "model may hold only"),
    ],
)
def test_a_refusal_names_the_part_that_is_wrong(text: str, part: str) -> None:
    """The message says what is wrong, shows no control character, and gives an example."""
    with pytest.raises(InvalidNameError) as caught:
        parse(text)

    assert part in str(caught.value)
    assert "llama3.2:3b" in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("llama3", "llama3:latest", True),
        ("LLAMA3", "llama3:latest", True),
        ("library/llama3", "llama3", True),
        ("registry.ollama.ai/library/llama3:LATEST", "llama3", True),
        ("x:local", "x", True),
        ("llama3:8b", "llama3", False),
        ("user/llama3", "llama3", False),
        ("hf.co/a/b", "a/b", False),
        ("not a name", " Not A Name ", True),
        ("not a name", "name", False),
    ],
)
def test_names_are_compared_as_models(one: str, other: str, equal: bool) -> None:
    """Spelling, default parts and case make no other model; what is no name equals itself."""
    assert same(one, other) is equal
    assert (normalised(one) == normalised(other)) is equal


@pytest.mark.parametrize(
    ("text", "loopback"),
    [
        ("localhost:5000/a/b", True),
        ("127.0.0.1:5000/a/b", True),
        ("127.8.9.1/a/b", True),
        ("llama3.2", False),
        ("127.0.0.1.example.org/a/b", False),
        ("localhost.example.org/a/b", False),
    ],
)
def test_a_registry_on_this_machine_is_told_from_others(text: str, loopback: bool) -> None:
    """Only loopback hosts count as this machine, not names that look like them."""
    assert parse(text).loopback is loopback
