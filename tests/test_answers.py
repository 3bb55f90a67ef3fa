"""What a server writes becomes records, from old servers and new, and nothing else does."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwidgets.errors import BadAnswerError
from modelwidgets.records import InstalledModel, PullStep, RunningModel, Tensor
from modelwidgets.stores.answers import ErrorLineError, StepReader, UnreadableError, parameter_count
from modelwidgets.stores.ollama import OllamaClient
from tests.recordings import Exchange, Replay, exchange, said


def client_reading(*answers: Exchange) -> OllamaClient:
    """A client whose server gives the answers that the test hands in."""
    return OllamaClient(transport=Replay(*answers, anyhow=True))


# Lists


async def test_an_installed_model_is_read_in_full() -> None:
    """Every field of `/api/tags` becomes a field of the record, sizes and labels as numbers."""
    client = OllamaClient(transport=Replay(exchange("tags-several")))

    models = await client.list_models()

    assert models[1] == InstalledModel(
        name="127.0.0.1:25000/library/m12:latest",
        digest="d6f3fce4a3be586b915fb5e6502abf18195aa10f758b0c8f68f19395116c30a8",
        size_bytes=12133379,
        modified_at=datetime(2026, 11, 21, 21, 11, 23, 546177, UTC),
        format="gguf",
        family="llama",
        families=("llama",),
        parameter_size="3.12M",
        parameters=3_120_000,
        quantization="Q8_0",
        max_context_length=2048,
        embedding_length=64,
        capabilities=("completion",),
        remote_model=None,
        remote_host=None,
    )


async def test_a_cloud_stub_is_a_model_without_weights() -> None:
    """A stub keeps its host and model elsewhere; its null families are none."""
    client = OllamaClient(transport=Replay(exchange("tags-variety-of-models")))

    models = {model.name: model for model in await client.list_models()}

    stub = models["big-model:120b-cloud"]
    assert (stub.size_bytes, stub.format, stub.families) == (405, "", ())
    assert (stub.remote_model, stub.remote_host) == ("big-model:120b", "https://ollama.com:443")


def older(one: Exchange, *left_out: str, **changed: Any) -> Exchange:
    """A recorded answer in the shape of an earlier version."""

    def edited(value: Any) -> Any:
        if isinstance(value, dict):
            kept = {key: edited(item) for key, item in value.items() if key not in left_out}
            return kept | {key: new for key, new in changed.items() if key in kept}
        return [edited(item) for item in value] if isinstance(value, list) else value

    return said(json.dumps(edited(json.loads(one.texts[0]))))


@pytest.mark.parametrize(
    ("left_out", "changed"),
    [
        # before 0.30
        (("capabilities", "context_length", "embedding_length", "remote_model"), {}),
        # before 0.1.24: `model` was not there either
        (("capabilities", "context_length", "embedding_length", "model"), {"families": None}),
        # before 0.1.18: neither were the details
        (
            ("capabilities", "details", "model"),
            {"modified_at": "2023-08-02T17:02:23.713454393-07:00"},
        ),
    ],
)
async def test_lists_of_older_servers_are_read(
    left_out: tuple[str, ...], changed: dict[str, Any]
) -> None:
    """Fields that came later are missing, not wrong: unknown capabilities are None, not empty."""
    client = client_reading(older(exchange("tags-several"), *left_out, **changed))

    models = await client.list_models()

    assert [model.size_bytes for model in models] == [12344014, 12133379, 137158]
    assert {model.capabilities for model in models} == {None}
    assert {model.max_context_length for model in models} == {None}
    assert all(model.modified_at and model.modified_at.tzinfo for model in models)


async def test_an_older_server_tells_less_of_what_runs_and_of_what_is_inside() -> None:
    """`/api/ps` before 0.10 and `/api/show` before 0.6.4 are read as well."""
    ps = older(exchange("ps-load-unload", "loaded, default keep_alive"), "context_length")
    show = older(exchange("show"), "capabilities", "model_info", "tensors", "modified_at")
    client = client_reading(ps, show)

    running = await client.list_running()
    info = await client.show("tiny2")

    assert running[0].context_length is None
    assert (info.capabilities, info.max_context_length, info.modified_at) == (None, None, None)
    assert (info.parameters, info.tensors, info.model_info) == (119_000, (), {})


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2026-11-21T21:24:08.608210734Z", datetime(2026, 11, 21, 21, 24, 8, 608210, UTC)),
        ("2026-11-21T21:24:08Z", datetime(2026, 11, 21, 21, 24, 8, 0, UTC)),
        ("2026-11-21T23:24:08.5+02:00", datetime(2026, 11, 21, 21, 24, 8, 500000, UTC)),
        ("2026-11-21T21:24:08.1", datetime(2026, 11, 21, 21, 24, 8, 100000, UTC)),
        ("0001-01-01T00:00:00Z", None),
        ("", None),
        (None, None),
    ],
)
async def test_dates_are_read_to_the_microsecond(text: str | None, date: datetime | None) -> None:
    """Nanoseconds, `Z` and offsets are understood; Go's zero date means none."""
    client = client_reading(said(json.dumps({"models": [{"name": "x", "modified_at": text}]})))

    models = await client.list_models()

    assert models[0].modified_at == date


async def test_what_runs_for_ever_has_no_end() -> None:
    """A keep_alive below zero is a date 292 years ahead on the wire, and None in the record."""
    client = OllamaClient(transport=Replay(exchange("ps-load-unload", 6)))

    running = await client.list_running()

    assert running == [
        RunningModel(
            name="tiny2:latest",
            digest="958d9e7dcd17bf32c8e0494ae7c57dcc33d7438dce727c1f88a61221293d2dcf",
            size_bytes=1971322,
            size_vram_bytes=0,
            expires_at=None,
            context_length=running[0].context_length,
        )
    ]


async def test_what_is_about_to_stop_keeps_its_past_end() -> None:
    """An end in the past is a date like any other."""
    past = datetime.now(UTC) - timedelta(minutes=1)
    row = {"name": "x", "expires_at": past.isoformat()}
    client = client_reading(said(json.dumps({"models": [row]})))

    running = await client.list_running()

    assert running[0].expires_at == past


@pytest.mark.parametrize(
    ("label", "count"),
    [
        ("3.2B", 3_200_000_000),
        ("3.12M", 3_120_000),
        ("119K", 119_000),
        ("1.5T", 1_500_000_000_000),
        ("137m", 137_000_000),
        ("42", 42),
        ("8x7B", None),
        ("", None),
        ("unknown", None),
        ("9" * 400 + "B", None),
    ],
)
def test_a_label_of_parameters_is_a_number(label: str, count: int | None) -> None:
    """`3.2B` counts 3,200,000,000 weights; what is no such label counts nothing."""
    assert parameter_count(label) == count


# Details


async def test_details_are_read_in_full() -> None:
    """What `/api/show` says of a model is there, its numbers from the header of the file."""
    client = OllamaClient(transport=Replay(exchange("show")))

    info = await client.show("127.0.0.1:25000/library/tiny2")

    assert info.name == "127.0.0.1:25000/library/tiny2:latest"
    assert info.license.endswith("Second license")
    assert info.modelfile.startswith("# Modelfile generated")
    assert info.parameters_text.splitlines()[0] == f"{'num_ctx':30} 512"
    assert (info.template, info.system) == ("{{ .System }} {{ .Prompt }}", "You are tiny.")
    assert (info.parameter_size, info.parameters, info.quantization) == ("119K", 119232, "Q8_0")
    assert (info.max_context_length, info.embedding_length) == (2048, 64)
    assert info.capabilities == ("completion",)
    assert info.model_info["tokenizer.ggml.tokens"] is None
    assert info.tensors[0] == Tensor(name="token_embd.weight", type="Q8_0", shape=(64, 289))


async def test_verbose_details_hold_the_long_arrays() -> None:
    """The long arrays are asked for by `verbose`, and come."""
    replay = Replay(exchange("show-verbose"))
    client = OllamaClient(transport=replay)

    info = await client.show("127.0.0.1:25000/library/tiny2", verbose=True)

    assert json.loads(replay.requests[0].content)["verbose"] is True
    assert len(info.model_info["tokenizer.ggml.tokens"]) == 289


async def test_odd_numbers_in_a_header_do_not_hide_the_model() -> None:
    """A GGUF header says what its author wrote; what is no count is not known."""
    info = {"general.architecture": "x", "x.context_length": "long", "x.embedding_length": [1]}
    client = client_reading(said(json.dumps({"model_info": info})))

    shown = await client.show("x")

    assert (shown.max_context_length, shown.embedding_length, shown.parameters) == (None,) * 3


# Answers that cannot be used


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("<html>", "no JSON"),
        ("[]", "no JSON object"),
        ("null", "no JSON object"),
        ("", "no JSON"),
        ('{"models": 5}', "`models` is of a wrong kind"),
        ('{"models": [5]}', "`models` is of a wrong kind"),
        ('{"object": "list", "data": null}', "no `models`"),
        ('{"models": [{}]}', "without a name"),
        ('{"models": [{"name": 5}]}', "`name` is of a wrong kind"),
        ('{"models": [{"name": "x", "size": "big"}]}', "`size` is of a wrong kind"),
        ('{"models": [{"name": "x", "size": -1}]}', "`size` is of a wrong kind"),
        ('{"models": [{"name": "x", "details": []}]}', "`details` is of a wrong kind"),
        ('{"models": [{"name": "x", "details": {"families": "y"}}]}', "`families`"),
        ('{"models": [{"name": "x", "modified_at": "soon"}]}', "`modified_at` is no date"),
        ('{"models": NaN}', "no JSON"),
        ('{"models": [], "x": 1e999}', "no JSON"),
        ('{"models": [], "x": "\\ud800"}', "no JSON"),
        ("\x00\x1b[31m", "no JSON"),
    ],
)
async def test_an_answer_of_a_wrong_kind_is_named(body: str, why: str) -> None:
    """The error says which field is wrong, in printable words."""
    client = client_reading(said(body))

    with pytest.raises(BadAnswerError, match=re.escape(why)) as caught:
        await client.list_models()

    assert str(caught.value).isprintable()


async def test_null_lists_are_empty() -> None:
    """A server that writes null for an empty list has no models."""
    client = client_reading(said('{"models":null}'), said('{"models":null}'))

    models, running = await client.list_models(), await client.list_running()

    assert (models, running) == ([], [])


# Lines of progress


DIGEST = "sha256:" + "ab" * 32
LINES = st.one_of(
    st.builds(
        '{{"status":"{}","digest":"{}","total":{},"completed":{}}}'.format,
        st.sampled_from(["pulling a", "pulling b"]),
        st.sampled_from([DIGEST, "sha256:model"]),
        st.sampled_from([10, 11]),
        st.sampled_from(["0", "5", "5.0", "05", "5x", "-1", " 7", "7 ", "9" * 19, '"5"', "1}}"]),
    ),
    st.sampled_from(
        [
            '{"status":"verifying sha256 digest"}',
            '{"completed":5}',
            '"completed":5}',
            '{"completed":5,"status":"x"}',
            '{"status":"x","nested":{"completed":5}}',
            '{"error":"x","completed":5}',
        ]
    ),
)


@settings(deadline=None)
@given(st.lists(LINES, max_size=8))
def test_a_line_means_the_same_whatever_came_before(lines: list[str]) -> None:
    """Reading only what changed gives what reading every line in full gives."""

    def read(reader: StepReader, line: str) -> PullStep | str:
        try:
            return reader.read(line.encode())
        except (UnreadableError, ErrorLineError) as error:
            return str(error)

    one = StepReader()

    assert [read(one, line) for line in lines] == [read(StepReader(), line) for line in lines]
