"""The embedded store driven by a client that nobody here wrote: the official `ollama` package."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import ollama
import pytest

from tests.store_bed import MIB, Bed, bed, digest_of, weights

MODEL = weights(6 * MIB)
DIGEST = digest_of(MODEL)


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Bed]:
    """A store, and a registry that serves `chat`."""
    async with bed(tmp_path) as both:
        both.add("library/chat", model=MODEL, template=b"{{ .Prompt }}", system=b"You.")
        yield both


@pytest.fixture
async def client(two: Bed) -> AsyncIterator[ollama.AsyncClient]:
    asking = ollama.AsyncClient(host=two.store.url, trust_env=False)
    yield asking
    await asking._client.aclose()


def chat(both: Bed) -> str:
    return f"{both.registry.host_port}/library/chat:latest"


async def test_it_pulls_as_a_stream(two: Bed, client: ollama.AsyncClient) -> None:
    """Progress counts up, the last word is success, and the bytes are right."""
    two.registry.faults.throttle_bytes_per_second = 16 * MIB

    steps = [step async for step in await client.pull(chat(two), insecure=True, stream=True)]

    layer = [step for step in steps if step.digest == DIGEST]
    assert steps[0].status == "pulling manifest"
    assert steps[-1].status == "success"
    assert {step.total for step in layer} == {len(MODEL)}
    assert [step.completed or 0 for step in layer] == sorted(step.completed or 0 for step in layer)
    assert two.stored(DIGEST) == MODEL


async def test_it_lists_and_shows(two: Bed, client: ollama.AsyncClient) -> None:
    """What was pulled is listed with its details, and shown with its layers."""
    await client.pull(chat(two), insecure=True)

    (listed,) = (await client.list()).models
    shown = await client.show(chat(two))

    assert (listed.model, listed.size) == (chat(two), two.files.manifest(chat(two)).total_bytes)
    assert listed.digest == two.files.manifest(chat(two)).digest
    assert listed.details.family == "llama"
    assert listed.modified_at == shown.modified_at
    assert shown.template == "{{ .Prompt }}"
    assert shown.capabilities == ["completion"]
    assert shown.modelinfo["llama.context_length"] == 2048
    assert "SYSTEM You." in shown.modelfile


async def test_it_copies_and_deletes(two: Bed, client: ollama.AsyncClient) -> None:
    """A copy shares the blobs; they go with the last name."""
    await client.pull(chat(two), insecure=True)

    await client.copy(chat(two), "backup")
    await client.delete(chat(two))
    kept = two.files.has_blob(DIGEST)
    names = [model.model for model in (await client.list()).models]
    await client.delete("backup")

    assert names == ["backup:latest"]
    assert kept
    assert two.blob_names() == set()


async def test_it_sees_that_nothing_runs(two: Bed, client: ollama.AsyncClient) -> None:
    """Nothing is ever loaded; a wish to run a model is refused in words."""
    await client.pull(chat(two), insecure=True)

    running = (await client.ps()).models
    with pytest.raises(ollama.ResponseError, match="runs no models") as refused:
        await client.generate(chat(two), "hello")
    unloaded = await client.generate(chat(two), keep_alive=0)

    assert list(running) == []
    assert refused.value.status_code == 501
    assert unloaded.done_reason == "unload"


async def test_it_meets_a_servers_errors(two: Bed, client: ollama.AsyncClient) -> None:
    """What is missing is 404, and a pull of what is missing ends with the server's words."""
    with pytest.raises(ollama.ResponseError, match="model 'nope:latest' not found") as missing:
        await client.show("nope")
    with pytest.raises(ollama.ResponseError, match="file does not exist"):
        async for _ in await client.pull(f"{chat(two)[:-6]}nope", insecure=True, stream=True):
            pass

    assert missing.value.status_code == 404


async def test_it_makes_a_model_from_a_file(
    two: Bed, client: ollama.AsyncClient, tmp_path: Path
) -> None:
    """A GGUF file is uploaded and becomes a model with a system prompt."""
    (tmp_path / "own.gguf").write_bytes(MODEL)

    digest = await client.create_blob(tmp_path / "own.gguf")
    made = await client.create("own", files={"own.gguf": digest}, system="Be mine.")

    assert digest == DIGEST
    assert made.status == "success"
    assert "SYSTEM Be mine." in (await client.show("own")).modelfile
    assert two.stored(DIGEST) == MODEL
