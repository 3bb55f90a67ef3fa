"""Every recording of a real server goes through the client, and what comes out is what was said."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest

from modelwidgets.errors import OllamaError, OllamaResponseError
from modelwidgets.records import PullStep
from modelwidgets.stores.ollama import OllamaClient
from tests.recordings import Exchange, Replay, exchange, exchanges, files

OUTCOMES: dict[str, dict[str, int]] = {
    "bad-names-copy": {
        "refused before it was asked": 34,
        'ModelNotFoundError 404: model "UPPER" not found': 1,
        'ModelNotFoundError 404: model "x." not found': 1,
        'ModelNotFoundError 404: model "http://127.0.0.1:25000/library/tiny" not f...': 1,
        'ModelNotFoundError 404: model "https://127.0.0.1:25000/library/tiny" not ...': 1,
        'ModelNotFoundError 404: model "ftp://127.0.0.1:25000/library/tiny" not found': 1,
        'ModelNotFoundError 404: model "tiny:cloud" not found': 1,
        'ModelNotFoundError 404: model "tiny:local" not found': 1,
        'ModelNotFoundError 404: model "src" not found': 7,
    },
    "bad-names-delete": {
        "refused before it was asked": 17,
        "ModelNotFoundError 404: model 'UPPER' not found": 1,
        "ModelNotFoundError 404: model 'x.' not found": 1,
        "ModelNotFoundError 404: model 'http://127.0.0.1:25000/library/tiny' not f...": 1,
        "ModelNotFoundError 404: model 'https://127.0.0.1:25000/library/tiny' not ...": 1,
        "ModelNotFoundError 404: model 'ftp://127.0.0.1:25000/library/tiny' not found": 1,
        "ModelNotFoundError 404: model 'tiny:cloud' not found": 1,
        "ModelNotFoundError 404: model 'tiny:local' not found": 1,
    },
    "bad-names-pull": {
        "refused before it was asked": 17,
        '1 steps, PullFailedError: pull model manifest: Get "https://registry.ollama...': 4,
        '1 steps, PullFailedError: pull model manifest: Get "https://127.0.0.1:25000...': 3,
    },
    "bad-names-show": {
        "refused before it was asked": 17,
        "ModelNotFoundError 404: model 'UPPER:latest' not found": 1,
        "ModelNotFoundError 404: model 'x.:latest' not found": 1,
        "ModelNotFoundError 404: model '127.0.0.1:25000/library/tiny:latest' not f...": 3,
        "OllamaResponseError 403: ollama cloud is disabled: remote model details ar...": 1,
        "ModelNotFoundError 404: model 'tiny:latest' not found": 1,
    },
    "create-and-blobs": {
        "has it: False": 1,
        "done": 2,
        'OllamaResponseError 400: digest mismatch, expected "sha256:000000", got "s...': 1,
        "has it: True": 1,
        "refused before it was asked": 1,
        "9 steps, success": 1,
        "5 steps, success": 1,
        '1 steps, OllamaResponseError: pull model manifest: Get "https://registry.ollama...': 1,
        "1 steps, OllamaResponseError: open $OLLAMA_MODELS/blobs/sha256-111111: no such ...": 1,
        "1 steps, success": 1,
        "0 steps, OllamaResponseError 500: quantization is only supported for F16, BF16 and ...": 1,
    },
    "delete-and-copy": {
        "done": 9,
        "ModelNotFoundError 404: model '127.0.0.1:25000/library/m12' not found": 1,
        "ModelNotFoundError 404: model 'nope' not found": 1,
        "1 steps, success": 1,
        'ModelNotFoundError 404: model "nope" not found': 1,
        "3 models": 1,
        "2 models": 1,
        "0 models": 1,
    },
    "delete-during-pull": {
        "73 steps, success": 1,
        "ModelNotFoundError 404: model '127.0.0.1:25000/library/m12' not found": 1,
        "ModelNotFoundError 404: model '127.0.0.1:25000/library/m12:latest' not found": 1,
        "done": 1,
        "0 models": 1,
    },
    "generate-embed-errors": {
        'ModelNotFoundError 404: model "nope" not found, try pulling it first': 2,
        "ModelNotFoundError 404: model 'nope' not found": 2,
        "OllamaResponseError 403: ollama cloud is disabled: remote model is unavail...": 1,
        "OllamaResponseError 503: account unavailable": 1,
    },
    "malformed-bodies": {
        "0 steps, PullFailedError 400: missing request body": 1,
        "0 steps, PullFailedError 400: unexpected EOF": 1,
        "0 steps, PullFailedError 400: json: cannot unmarshal array into Go value of typ...": 1,
        "0 steps, PullFailedError 400: invalid model name": 2,
        "0 steps, PullFailedError 400: json: cannot unmarshal number into Go struct fiel...": 1,
        "0 steps, PullFailedError 400: invalid character 'o' in literal null (expecting ...": 1,
        '1 steps, PullFailedError: pull model manifest: Get "https://registry.ollama...': 1,
        "refused before it was asked": 6,
        "OllamaResponseError 400: missing request body": 4,
        "OllamaResponseError 400: unexpected EOF": 4,
        "OllamaResponseError 400: json: cannot unmarshal array into Go value of typ...": 4,
        "OllamaResponseError 400: model is required": 4,
        "OllamaResponseError 400: json: cannot unmarshal number into Go struct fiel...": 3,
        "OllamaResponseError 400: invalid character 'o' in literal null (expecting ...": 4,
        "ModelNotFoundError 404: model 'x:latest' not found": 1,
        "ModelNotFoundError 404: model 'x' not found": 2,
        'OllamaResponseError 400: source "" is invalid': 5,
        "0 steps, OllamaResponseError 400: missing request body": 2,
        "0 steps, OllamaResponseError 400: unexpected EOF": 2,
        "0 steps, OllamaResponseError 400: json: cannot unmarshal array into Go value of typ...": 2,
        "0 steps, OllamaResponseError 400: invalid model name": 2,
        "0 steps, OllamaResponseError 400: json: cannot unmarshal number into Go struct fiel...": 2,
        "0 steps, OllamaResponseError 400: invalid character 'o' in literal null (expecting ...": 2,
        "0 steps, OllamaResponseError 400: neither 'from' or 'files' was specified": 1,
        "ModelNotFoundError 404: model '' not found": 2,
        "0 steps, OllamaResponseError 400: model is required": 2,
        "2 steps, OllamaResponseError: open $OLLAMA_MODELS/manifests/registry.ollama.ai/...": 1,
    },
    "no-content-type": {
        "ModelNotFoundError 404: model 'nope:latest' not found": 3,
        "ModelNotFoundError 404: model 'bbb:latest' not found": 1,
    },
    "partial-files-and-server-restart": {
        "0 steps, then left": 1,
    },
    "ps-empty": {
        "running:": 1,
    },
    "ps-load-unload": {
        "running:": 2,
        "done": 7,
        "running: tiny2:latest": 3,
        "running: tiny2:latest big:latest": 1,
        "running: big:latest": 2,
        "ModelNotFoundError 404: model 'nope' not found": 1,
        'OllamaResponseError 400: time: invalid duration "abc"': 1,
    },
    "pull-already-present": {
        "14 steps, success": 1,
    },
    "pull-cancel-then-immediate-repull": {
        "10 steps, then left": 4,
        "40 steps, success": 1,
    },
    "pull-cancel-then-resume": {
        "28 steps, then left": 1,
        "0 models": 1,
        "48 steps, success": 1,
    },
    "pull-digest-mismatch": {
        "44 steps, PullFailedError: digest mismatch, file must be downloaded again: w...": 1,
        "42 steps, success": 1,
    },
    "pull-disk-full": {
        "37 steps, PullFailedError: write $OLLAMA_MODELS/blobs/sha256-8b06b3-partial:...": 2,
        "0 models": 1,
        "1 steps, PullFailedError: write $OLLAMA_MODELS/blobs/sha256-0724dd-partial-...": 1,
    },
    "pull-four-parts-cancel-resume": {
        "38 steps, then left": 1,
        "58 steps, success": 1,
    },
    "pull-layer-missing-in-registry": {
        "1 steps, PullFailedError: file does not exist": 1,
    },
    "pull-missing-manifest": {
        "1 steps, PullFailedError: pull model manifest: file does not exist": 2,
    },
    "pull-registry-401": {
        '1 steps, PullFailedError: pull model manifest: realm host "" does not match...': 1,
    },
    "pull-registry-429": {
        '1 steps, PullFailedError: pull model manifest: 429: {"errors": [{"code": "U...': 1,
    },
    "pull-registry-503": {
        '1 steps, PullFailedError: pull model manifest: 503: {"errors": [{"code": "U...': 1,
    },
    "pull-registry-down-8s-then-back": {
        "332 steps, success": 1,
    },
    "pull-registry-gone-max-retries": {
        '1066 steps, PullFailedError: max retries exceeded: Get "http://localhost:25000...': 1,
        "36 steps, success": 1,
    },
    "pull-registry-refused": {
        '1 steps, PullFailedError: pull model manifest: Get "http://127.0.0.1:25999/...': 1,
        '1 steps, PullFailedError: pull model manifest: Get "https://127.0.0.1:25000...': 1,
        '1 steps, PullFailedError: pull model manifest: Get "https://registry.ollama...': 1,
        '1 steps, PullFailedError: pull model manifest: Get "https://hf.co/v2/some/r...': 1,
    },
    "pull-registry-without-redirect": {
        "1 steps, PullFailedError: http: no Location header in response": 1,
    },
    "pull-resume-where-range-is-ignored": {
        "17 steps, then left": 1,
        "29 steps, PullFailedError: digest mismatch, file must be downloaded again: w...": 1,
    },
    "pull-server-restart-sigkill": {
        "25 steps, PullFailedError: The server ended the answer before it was done.": 1,
        "OllamaUnreachableError": 1,
        "73 steps, success": 1,
    },
    "pull-shared-layer-second-model": {
        "6 steps, success": 1,
    },
    "pull-slow-client-reader": {
        "44 steps, success": 1,
    },
    "pull-slow-manifest": {
        "4 steps, success": 1,
        "1 steps, then left": 1,
        "0 models": 1,
    },
    "pull-stalled-connection-30s": {
        "608 steps, success": 1,
    },
    "pull-stream-false": {
        "1 steps, success": 1,
        "0 steps, PullFailedError 500: pull model manifest: file does not exist": 1,
        '0 steps, PullFailedError 500: pull model manifest: Get "http://127.0.0.1:25999/...': 1,
    },
    "pull-success-multilayer": {
        "82 steps, success": 1,
    },
    "pull-two-big-layers-cancel-in-second": {
        "93 steps, then left": 1,
        "39 steps, success": 1,
        "9 models": 1,
    },
    "pull-two-clients-one-cancels": {
        "35 steps, then left": 1,
        "63 steps, success": 1,
    },
    "pull-two-different-models-at-once": {
        "67 steps, success": 1,
        "68 steps, then left": 1,
    },
    "push": {
        "58 steps, success": 1,
        "6 steps, success": 1,
        "2 steps, OllamaResponseError: open $OLLAMA_MODELS/manifests/registry.ollama.ai/...": 1,
        '1 steps, OllamaResponseError: Head "https://127.0.0.1:25000/v2/library/m12/blob...': 1,
        "2 steps, OllamaResponseError: open $OLLAMA_MODELS/manifests/127.0.0.1:25999/lib...": 1,
    },
    "root-version-status": {
        "Ollama 0.33.0-rc2": 1,
        "BadAnswerError": 3,
        "0.33.0-rc2": 1,
    },
    "show": {
        "llama 119232 2048 ('completion',)": 2,
        "llama 3118528 2048 ('completion', 'vision')": 1,
        "ModelNotFoundError 404: model 'nope:latest' not found": 1,
    },
    "show-verbose": {
        "llama 119232 2048 ('completion',)": 1,
    },
    "tags-empty": {
        "0 models": 1,
        "BadAnswerError": 2,
    },
    "tags-realistic-table": {
        "23 models": 1,
    },
    "tags-several": {
        "3 models": 1,
        "BadAnswerError": 1,
    },
    "tags-variety-of-models": {
        "9 models": 1,
        "bert 12544 512 ('embedding',)": 1,
        "llama 119232 2048 ('completion', 'vision')": 1,
        "llama 119232 2048 ('completion', 'tools')": 1,
        'OllamaResponseError 502: Post "https://ollama.com:443/api/show?ts=17952962...': 1,
        'OllamaResponseError 502: Post "https://ollama.com:443/api/generate?ts=1795...': 1,
        "done": 1,
    },
    "wrong-method-or-path": {
        "OllamaResponseError 405: 405 method not allowed": 5,
        "OllamaResponseError 404: 404 page not found": 1,
        "BadAnswerError": 3,
        "OllamaResponseError 403: HTTP 403 Forbidden, without an explanation": 2,
        "0 models": 1,
    },
}


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
        except ValueError:  # InvalidNameError is one
            assert not replay.requests
            assert one.status == 400 or one.path == "/api/push"  # looks at the name later
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
    count, last = 0, ""
    try:
        async with asyncio.timeout(0.05 if one.left_by_client else None), aclosing(stream):
            async for step in stream:
                count, last = count + 1, step.status
    except OllamaError as error:
        return f"{count} steps, {_described(error, one)}"
    except TimeoutError:
        assert replay.left == 1
        return f"{count} steps, then left"
    return f"{count} steps, {last}"


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
    status = f" {error.status_code}" if error.status_code else ""
    return f"{name}{status}: {text if len(text) <= 52 else text[:49] + '...'}"


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
