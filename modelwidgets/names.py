"""Model references: parse, normalise, compare.

The grammar is Ollama's (`types/model/name.go`): `[scheme://][host/][namespace/]model[:tag]`, where
the default host is `registry.ollama.ai`, the default namespace `library`, the default tag `latest`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from modelwidgets.errors import InvalidNameError

DEFAULT_HOST = "registry.ollama.ai"
DEFAULT_NAMESPACE = "library"
DEFAULT_TAG = "latest"
HUB_HOSTS = frozenset({"hf.co", "huggingface.co"})

_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}")
_NAMESPACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}")
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}")
_LONGEST = 350 + 3 * 81 + 10


class Named(Protocol):
    """Whatever has the name of a model."""

    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=Named)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelName:
    """A full reference; `str()` gives the form that Ollama shows, always with its tag."""

    host: str
    namespace: str
    model: str
    tag: str

    def __str__(self) -> str:
        return f"{self.family}:{self.tag}"

    @property
    def family(self) -> str:
        """The shown name without its tag: `llama3.2`, `user/model`, `hf.co/org/repo`."""
        if self.host.lower() != DEFAULT_HOST:
            return f"{self.host}/{self.namespace}/{self.model}"
        if self.namespace.lower() != DEFAULT_NAMESPACE:
            return f"{self.namespace}/{self.model}"
        return self.model

    @property
    def key(self) -> str:
        """What two spellings of one model have in common: all parts, lower case."""
        return f"{self.host}/{self.namespace}/{self.model}:{self.tag}".lower()

    @property
    def loopback(self) -> bool:
        """Whether the registry is on this machine, so that plain http leaves it nowhere."""
        host = self.host.rsplit(":", 1)[0].lower()
        return host == "localhost" or re.fullmatch(r"127(\.\d{1,3}){3}", host) is not None


def parse(text: str) -> ModelName:
    """Read a name as Ollama would.

    Raises `InvalidNameError` naming the part that is wrong.
    """
    if not text:
        raise InvalidNameError(text, "it is empty")
    if len(text) > _LONGEST:
        raise InvalidNameError(text, f"it is longer than {_LONGEST} characters")
    if text.startswith("hf:"):
        raise InvalidNameError(
            text,
            "`hf:` names a repository of the HuggingFace cache, which Ollama cannot pull; "
            "a GGUF repository is pulled as `hf.co/org/repo:quant`",
        )
    rest = text.partition("://")[2] if "://" in text else text
    rest = _without_source(text, rest)
    before, colon, after = rest.rpartition(":")
    if colon and "/" not in after:
        rest, tag = before, after
        if not tag:
            raise InvalidNameError(text, "the tag after the colon is empty")
    else:
        tag = DEFAULT_TAG
    parts = rest.split("/")
    if len(parts) > 3:
        raise InvalidNameError(text, "it has more parts than host, namespace and model")
    host, namespace, model = [DEFAULT_HOST, DEFAULT_NAMESPACE, ""][: 3 - len(parts)] + parts
    for what, part, pattern in (
        ("host", host, _HOST),
        ("namespace", namespace, _NAMESPACE),
        ("model", model, _PART),
        ("tag", tag, _PART),
    ):
        if not pattern.fullmatch(part):
            raise InvalidNameError(text, _why(what, part))
    return ModelName(host=host, namespace=namespace, model=model, tag=tag)


def same(one: str, other: str) -> bool:
    """Whether two texts name one model: `llama3` and `LLAMA3:latest` do."""
    return normalised(one) == normalised(other)


def normalised(text: str) -> str:
    """The key to compare names by; a text that is no name stands for itself."""
    try:
        return parse(text).key
    except InvalidNameError:
        return text.strip().lower()


def named(models: Iterable[N], name: str) -> N | None:
    """The first that has this name, however it is spelled."""
    wanted = normalised(name)
    return next((model for model in models if normalised(model.name) == wanted), None)


def _without_source(text: str, rest: str) -> str:
    """Fold Ollama's source selectors: `x:local` means `x`, `x:20b:cloud` the tag `20b-cloud`."""
    before, _, selector = rest.rpartition(":")
    named = before.rpartition("/")[2]
    if selector == "local" and before:
        if named.endswith((":cloud", "-cloud")):
            raise InvalidNameError(text, "`:local` and `:cloud` contradict each other")
        return before
    if selector == "cloud" and ":" in named:
        return f"{before}-cloud"
    return rest


def _why(what: str, part: str) -> str:
    if not part:
        return f"the {what} is empty"
    if len(part) > 80 and what != "host":
        return f"the {what} is longer than 80 characters"
    allowed = "letters, digits, _ and -" if what == "namespace" else "letters, digits, _, . and -"
    return f"the {what} may hold only {allowed}, and starts with a letter, a digit or _"
