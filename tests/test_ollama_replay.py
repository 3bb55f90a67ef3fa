"""Every recording of a real server goes through the client, and what comes out is what was said."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest

from modelwidgets.errors import InvalidNameError, OllamaError, OllamaResponseError
from modelwidgets.records import PullStep
from modelwidgets.stores.ollama import OllamaClient
from tests.recordings import Exchange, Replay, exchange, exchanges, files

OUTCOMES: dict[str, dict[str, int]] = {}


@pytest.mark.parametrize("file", files())
async def test_a_recording_comes_out_as_what_was_said(file: str) -> None:
    """Each recorded answer becomes the records or the error that it stands for."""
    outcomes = Counter([await outcome(one) for one in exchanges(file)])

    assert outcomes == OUTCOMES[file]


def test_no_recording_is_left_out() -> None:
    """The table above names every recording, and nothing else."""
    assert sorted(OUTCOMES) == files()


async def outcome(one: Exchange) -> str:
    """In one line, what the client made of an exchange."""
    asked = _asked(one)
    replay = Replay(one, exchange("root-version-status", 2), anyhow=not _is_ours(one))
    async with OllamaClient(transport=replay) as client:
        try:
            said = await _call(client, one, asked, replay)
        except InvalidNameError:
            assert not replay.requests
            assert one.status == 400
            return "refused before it was asked"
        except OllamaError as error:
            return _described(error, one)
    return said


async def _call(client: OllamaClient, one: Exchange, asked: dict[str, Any], replay: Replay) -> str:
    """Do what the recorded request did."""
    name = asked.get("model", asked.get("name", "stand-in"))
    match one.method, one.path:
        case "GET", "/":
            return f"Ollama {(await client.identify()).version}"
        case "GET", "/api/version":
            return await client.version()
        case "GET", "/api/ps":
            return " ".join(["running:", *[model.name for model in await client.list_running()]])
        case "POST", "/api/show":
            info = await client.show(name, verbose=asked.get("verbose", False))
            return f"{info.family} {info.parameters} {info.max_context_length} {info.capabilities}"
        case "POST", "/api/pull":
            return await _streamed(client.pull(name), one, replay)
        case "POST", "/api/push":
            return await _streamed(client.push(name), one, replay)
        case "POST", "/api/create":
            given = {key: asked[key] for key in ("files", "system", "quantize") if key in asked}
            stream = client.create(name, from_=asked.get("from"), **given)
            return await _streamed(stream, one, replay)
        case "DELETE", "/api/delete":
            await client.delete(name)
        case "POST", "/api/copy":
            await client.copy(asked.get("source", "a"), asked.get("destination", "b"))
        case "POST", "/api/generate" | "/api/chat" if asked.get("keep_alive") == 0:
            await client.unload(name)
        case "POST", path if path.startswith("/api/blobs/sha256:"):
            await client.upload_blob("sha256:" + 64 * "0", b"abc")
        case "POST", _:
            await client.load(name, keep_alive=asked.get("keep_alive"))
        case "HEAD", path if path.startswith("/api/blobs"):
            return f"has it: {await client.has_blob(path.removeprefix('/api/blobs/'))}"
        case _:
            return f"{len(await client.list_models())} models"
    return "done"


async def _streamed(stream: AsyncGenerator[PullStep, None], one: Exchange, replay: Replay) -> str:
    """Read a stream as far as the recorded client did."""
    steps = []
    async with aclosing(stream):
        try:
            async for step in stream:
                steps.append(step)
                if one.left_by_client and len(steps) == len(one.lines):
                    break
        except OllamaError as error:
            return f"{len(steps)} steps, {_described(error, one)}"
    if one.left_by_client:
        assert replay.left == 1
        return f"{len(steps)} steps, then left"
    return f"{len(steps)} steps, {steps[-1].status}"


def _described(error: OllamaError, one: Exchange) -> str:
    name = type(error).__name__
    if not isinstance(error, OllamaResponseError):
        return name
    recorded = one.texts[-1] if one.texts else ""
    if recorded.startswith('{"error"'):
        assert error.text == json.loads(recorded)["error"]
    assert str(error) == f"{error.text}\n{error.next_step}"
    assert error.next_step
    text = re.sub(r"(sha256[:-][0-9a-f]{6})[0-9a-f]{58}", r"\1", error.text)
    return f"{name} {error.status_code}: {text}"


def _asked(one: Exchange) -> dict[str, Any]:
    """The recorded request; a body that no client of ours would send counts as none."""
    try:
        asked = json.loads(one.asked or "{}")
    except ValueError:
        return {}
    return asked if isinstance(asked, dict) and asked.get("model") != 5 else {}


def _is_ours(one: Exchange) -> bool:
    """Whether the client would send such a request, so that its own must be like it."""
    ours = {
        "/": "GET",
        "/api/version": "GET",
        "/api/tags": "GET",
        "/api/ps": "GET",
        "/api/show": "POST",
        "/api/pull": "POST",
        "/api/push": "POST",
        "/api/create": "POST",
        "/api/copy": "POST",
        "/api/delete": "DELETE",
        "/api/generate": "POST",
    }
    return ours.get(one.path) == one.method
