"""What would need a model to run, or an account: refused in words.

The embedded store keeps models and runs none. Only the wish to have one unloaded is granted, since
none is loaded.
"""

from __future__ import annotations

import re
import time
from typing import Any

from modelwidgets.stores.embedded_errors import RefusedError
from modelwidgets.stores.embedded_http import ANY_MAP, NAMED, NO_CLOUD, Route, asked_reference
from modelwidgets.stores.embedded_models import rfc3339
from modelwidgets.stores.golang import quoted

_START_OLLAMA = "start Ollama with the same folder"
RUNS_NONE = f"the embedded store runs no models; {_START_OLLAMA}"
PUSHES_NONE = f"the embedded store pushes no models; {_START_OLLAMA}"
_UNIT_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3}
_UNIT_SECONDS |= {"s": 1, "m": 60, "h": 3600}


class Running(Route):
    def get(self) -> None:
        self.answer({"models": []})


class Push(Route):
    def post(self) -> None:
        fields = {**NAMED, "insecure": "bool", "stream": "bool"}
        request = self.body("api.PushRequest", {**fields, "username": "string"})
        if not (request.get("model") or request.get("name")):
            raise RefusedError("model is required")
        raise RefusedError(PUSHES_NONE, status=501)


class Elsewhere(Route):
    """The routes of other vendors' protocols that run models."""

    def post(self) -> None:
        raise RefusedError(RUNS_NONE, status=501)


class Account(Route):
    def post(self) -> None:
        self.answer({"error": "account unavailable"}, status=503)


class Recommendations(Route):
    def get(self) -> None:
        self.answer({"recommendations": []})


class Generate(Route):
    """A wish to run a model; `content` is the field that says with what."""

    struct_name = "api.GenerateRequest"
    content, content_type = "prompt", "string"
    no_name = RefusedError("model '' not found", status=404)

    def post(self) -> None:
        fields = {"model": "string", "keep_alive": "api.Duration", self.content: self.content_type}
        request = self.body(self.struct_name, fields)
        stay = keep_alive_seconds(request["keep_alive"]) if "keep_alive" in request else None
        text = request.get("model", "")
        if not text.strip():
            raise self.no_name
        wanted = asked_reference(text)
        if wanted.source == "cloud":
            raise RefusedError(f"{NO_CLOUD}: remote model is unavailable", status=403)
        folder = self.desk.folder
        if not folder.manifest_path(folder.spelled(wanted.name)).is_file():
            raise RefusedError(self.not_found(text), status=404)
        unloaded = self.unloaded()
        if unloaded is None or stay != 0 or request.get(self.content):
            raise RefusedError(RUNS_NONE, status=501)
        asked = {"model": text, "created_at": rfc3339(time.time_ns())}
        self.answer({**asked, **unloaded, "done": True, "done_reason": "unload"})

    def not_found(self, text: str) -> str:
        return f"model '{text}' not found"

    def unloaded(self) -> dict[str, Any] | None:
        """What stands in the answer when a model was unloaded; None where that cannot be asked."""
        return {"response": ""}


class Chat(Generate):
    struct_name = "api.ChatRequest"
    content, content_type = "messages", "[]api.Message"
    no_name = RefusedError("model is required")

    def unloaded(self) -> dict[str, Any] | None:
        return {"message": {"role": "assistant", "content": ""}}


class Embed(Generate):
    struct_name = "api.EmbedRequest"
    content, content_type = "input", "interface {}"

    def not_found(self, text: str) -> str:
        return f"model {quoted(text)} not found, try pulling it first"

    def unloaded(self) -> dict[str, Any] | None:
        return None


class Embeddings(Embed):
    struct_name = "api.EmbeddingRequest"
    content, content_type = "prompt", "string"
    no_name = RefusedError("model is required")


def keep_alive_seconds(value: Any) -> float:
    """How long a model is to stay loaded; raises `RefusedError` in Go's words."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value if value >= 0 else float("inf")
    if not isinstance(value, str):
        kind = {bool: "bool", list: "[]interface {}"}.get(type(value), ANY_MAP)
        raise RefusedError(f"Unsupported type: '{kind}'")
    negative, left = value.startswith("-"), value.removeprefix("-").removeprefix("+")
    seconds = 0.0
    while left != "0":
        step = re.match(r"(\d+\.?\d*|\.\d+)([^\d.]*)", left)
        if step is None:
            raise RefusedError(f"time: invalid duration {quoted(value)}")
        if not step[2]:
            raise RefusedError(f"time: missing unit in duration {quoted(value)}")
        if step[2] not in _UNIT_SECONDS:
            raise RefusedError(f"time: unknown unit {quoted(step[2])} in duration {quoted(value)}")
        seconds += float(step[1]) * _UNIT_SECONDS[step[2]]
        left = left[step.end() :] or "0"
    return float("inf") if negative and seconds else seconds
