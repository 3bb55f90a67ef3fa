"""Every error says what happened and what to do next."""

from __future__ import annotations

import inspect
import re

import pytest

from modelwidgets import errors
from modelwidgets.errors import (
    BadAddressError,
    BadAnswerError,
    InvalidNameError,
    ManifestNotFoundError,
    ModelNotFoundError,
    ModelWidgetsError,
    NotEnoughSpaceError,
    NotOllamaError,
    OllamaResponseError,
    OllamaTimeoutError,
    OllamaUnreachableError,
    PullFailedError,
    RegistryUnreachableError,
)
from modelwidgets.records import PullPlan
from modelwidgets.stores import advice


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes() -> None:
    """Who reads the top of the file knows what `except` catches."""
    drawn, above = {}, ["Exception"]
    for indent, name in re.findall(r"^    ( *)(\w+Error)\b", errors.__doc__ or "", re.MULTILINE):
        depth = len(indent) // 2 + 1
        above[depth:] = [name]
        drawn[name] = above[depth - 1]

    classes = inspect.getmembers(errors, inspect.isclass)
    real = {
        name: kind.__bases__[0].__name__
        for name, kind in classes
        if issubclass(kind, ModelWidgetsError)
    }

    assert drawn == real


@pytest.mark.parametrize(
    ("error", "next_step"),
    [
        (InvalidNameError("a b", "it holds a space"), "Write it as `model:tag`"),
        (BadAddressError("'x y'", "the host is no name"), "Write it as `http://host:port`"),
        (OllamaUnreachableError("http://box:1"), "Start it with `ollama serve`"),
        (OllamaTimeoutError("http://box:1", 10), "try again, or restart it"),
        (NotOllamaError("http://box:1", "HTML"), "set OLLAMA_HOST"),
        (BadAnswerError("http://box:1", "no JSON"), "Check that the address leads to Ollama"),
        (RegistryUnreachableError("r.example", "refused"), "Check the network"),
        (ManifestNotFoundError("x:y", "r.example"), "Check the spelling and the tag"),
    ],
)
def test_an_error_tells_what_to_do(error: ModelWidgetsError, next_step: str) -> None:
    """The text of each error ends with a next step, in words."""
    assert next_step in str(error)


def test_an_unreachable_server_is_named_with_the_reason() -> None:
    """The short reason stands with the address, where there is one."""
    assert "http://box:1 (connection refused)." in str(
        OllamaUnreachableError("http://box:1", "connection refused")
    )
    assert "http://box:1. " in str(OllamaUnreachableError("http://box:1"))


def test_the_words_of_the_server_are_kept_whole() -> None:
    """A text of several lines stays as it is, and the next step follows on a line of its own."""
    text = 'pull model manifest: 412: \n\nThe model "x"\nneeds more'

    error = PullFailedError(text, next_step="Update the server.")

    assert error.text == text
    assert str(error) == f"{text}\nUpdate the server."
    assert isinstance(error, OllamaResponseError)
    assert str(ModelNotFoundError("gone")) == "gone"


def not_enough_space(**sizes_bytes: int) -> str:
    """What is said of a pull of these sizes."""
    none = dict.fromkeys(("present_bytes", "shared_bytes", "partial_bytes", "claimed_bytes"), 0)
    plan = PullPlan(name="x:latest", digest=None, reason=None, **none | sizes_bytes)
    return str(NotEnoughSpaceError(plan))


def test_a_full_disk_is_told_in_numbers() -> None:
    """The error of a pull that does not fit says how much is missing."""
    text = not_enough_space(
        total_bytes=9_000_000_000,
        partial_bytes=1_000_000_000,
        to_fetch_bytes=8_000_000_000,
        free_bytes=5_000_000_000,
        reserve_bytes=2_000_000_000,
        claimed_bytes=1_000_000_000,
    )

    assert "8.0 GB more" in text
    assert "5.0 GB are free" in text
    assert "1.0 GB of these are claimed by other pulls" in text
    assert "6.0 GB too little" in text
    assert "force=True" in text


def test_a_small_model_on_a_full_disk_is_told_in_numbers_that_say_something() -> None:
    """Not that it needs 0.0 GB."""
    text = not_enough_space(
        total_bytes=6_345_095,
        to_fetch_bytes=6_345_095,
        free_bytes=1_200_000,
        reserve_bytes=634_509,
    )

    assert text.startswith(
        "x:latest needs 6.3 MB more on disk, 1.2 MB are free and 635 kB of these are kept in "
        "reserve: 5.8 MB too little."
    )


NEXT_STEPS = {
    "pull model manifest: file does not exist": "check the spelling and the tag",
    "file does not exist": "published incompletely",
    'pull model manifest: Get "https://r/v2/": dial tcp: lookup r: no such host': (
        "HTTPS_PROXY in the environment of the server"
    ),
    'Get "https://r/v2/": dial tcp 1.2.3.4:443: i/o timeout': "no way to the registry",
    'Get "https://r:5/v2/": tls: first record does not look like a TLS handshake': "insecure=True",
    'pull model manifest: 503: {"errors": []}': "pull again later",
    'pull model manifest: 429: {"errors": []}': "wait some minutes",
    'pull model manifest: 401: {"errors": []}': "private or gated",
    'pull model manifest: 400: {"error": "unknown quant"}': "quantization",
    "pull model manifest: 412: \n\nIt requires a newer version of Ollama": "update the server",
    'pull model manifest: realm host "" does not match original host "h"': "wants a login",
    'max retries exceeded: Get "http://h/": dial tcp 127.0.0.1:1: connect: connection refused': (
        "resumes at the bytes that are kept"
    ),
    "write /m/blobs/sha256-1-partial: no space left on device": "delete models",
    "digest mismatch, file must be downloaded again: want sha256:1, got sha256:2": (
        "this layer restarts at 0"
    ),
    "http: no Location header in response": "modelwidgets serve",
    "context canceled": "pull again",
    "this model requires MLX support, but the MLX runtime is not available": "GGUF tag",
    "ollama cloud is disabled: remote model is unavailable": "OLLAMA_NO_CLOUD",
    'Post "https://ollama.com:443/api/show": dial tcp: i/o timeout': "Ollama's cloud",
    "model requires more system memory (9 GiB) than is available (2 GiB)": "unload other models",
    "llama-server reported out-of-memory during startup: x": "unload other models",
    "server busy, please try again.  maximum pending requests exceeded": "in a moment",
    'time: invalid duration "abc"': "with a unit",
    '"x" does not support generate': "capabilities",
    "mkdir /m/blobs: permission denied": "OLLAMA_MODELS",
    "tls: failed to verify certificate: x509: unknown authority": "does not trust",
    "model 'nope' not found": "pull it first",
    'model "nope" not found, try pulling it first': "pull it first",
    "a text that nobody knows": "Try again",
}


@pytest.mark.parametrize(("text", "advised"), NEXT_STEPS.items())
def test_a_known_text_of_the_server_gets_its_advice(text: str, advised: str) -> None:
    """What the server is known to say is answered with what helps."""
    assert advised in advice.next_step(text)


def test_a_long_text_costs_no_time() -> None:
    """A megabyte of words is looked through at its beginning only."""
    assert advice.next_step("open manifests " * 70_000) == advice.UNKNOWN
