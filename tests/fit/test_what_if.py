"""What would make a model fit: each change was tried, two at once where one is not enough."""

from __future__ import annotations

from dataclasses import replace

import pytest

from modelwidgets.memory.given import devices_from
from modelwidgets.memory.judge import Alternative, Machine, Subject, judged
from modelwidgets.memory.ollama_defaults import OllamaRequest
from modelwidgets.memory.ram import Memory
from modelwidgets.memory.what_if import suggestions
from tests.fit import rows

GIB = 1 << 30
LARGE = rows.model(rows.HEADERS, "llama3.1-8b-Q8_0")
SMALL = rows.model(rows.HEADERS, "llama3.1-8b-Q4_K_M")
SUBJECT = Subject(
    name="llama3.1:8b-q8_0",
    model=LARGE,
    request=OllamaRequest(context_length=65536),
    alternatives=(
        Alternative(
            name="llama3.1:8b",
            model=SMALL,
            size_bytes=SMALL.file_bytes,
            quantization="Q4_K_M",
        ),
    ),
    known_quantizations=True,
)


def machine(devices: list[str], ram_gib: int = 64) -> Machine:
    memory = Memory(total_bytes=ram_gib * GIB, available_bytes=ram_gib * GIB)
    return Machine.of(devices_from(devices, machine=memory))


def test_two_changes_are_named_where_one_does_not_do() -> None:
    """Eight bits need too much for any context, four bits for this one: four and a shorter one."""
    on = machine(["8GiB"])
    now = judged(SUBJECT.model, SUBJECT.request, on)

    found = suggestions(SUBJECT, on, now)

    best = found[0]
    assert (best.verdict, best.change, best.name) == ("full", "quantization", "llama3.1:8b")
    assert 2048 <= best.context_length < 65536
    assert f"with a context of {best.context_length} tokens" in best.text
    assert best.download_bytes == SMALL.file_bytes


def test_one_change_that_does_it_is_not_joined_by_another() -> None:
    """Where less context is enough, nobody is told to change two things."""
    on = machine(["16GiB"])
    subject = replace(SUBJECT, alternatives=())
    now = judged(subject.model, subject.request, on)

    found = suggestions(subject, on, now)

    assert now.run.placement.verdict == "partial"
    assert found[0].verdict == "full"
    assert not any(" with a " in one.text for one in found)


def test_without_a_gpu_two_changes_may_save_it_too() -> None:
    """On the CPU to run at all is what is wanted."""
    on = machine([], ram_gib=6)
    now = judged(SUBJECT.model, SUBJECT.request, on)

    found = suggestions(SUBJECT, on, now)

    assert now.run.placement.verdict == "no"
    assert found[0].verdict == "cpu"
    assert (found[0].name, found[0].context_length < 65536) == ("llama3.1:8b", True)


def test_what_nothing_saves_gets_no_suggestion() -> None:
    """No change is named that does not help."""
    on = machine(["1GiB"], ram_gib=1)

    assert suggestions(SUBJECT, on, judged(SUBJECT.model, SUBJECT.request, on)) == ()


@pytest.mark.parametrize("parallel", [1, 4])
@pytest.mark.parametrize(
    ("devices", "ram_gib"),
    [(["6GiB"], 64), (["8GiB"], 64), (["4GiB", "6GiB"], 8), ([], 6), (["10GiB"], 1)],
)
def test_each_suggestion_was_tried(devices: list[str], ram_gib: int, parallel: int) -> None:
    """Never more than a handful, the best first, and asking for it gives what it says."""
    on = machine(devices, ram_gib)
    subject = replace(SUBJECT, request=replace(SUBJECT.request, num_parallel=parallel))
    now = judged(subject.model, subject.request, on)

    found = suggestions(subject, on, now)

    verdicts = ["no", "cpu", "partial", "moe-partial", "full"]
    ranks = [verdicts.index(one.verdict) for one in found]
    assert ranks == sorted(ranks, reverse=True)
    assert all(rank > now.rank for rank in ranks)
    assert len(found) <= 5
    for one in found:
        request = OllamaRequest(
            context_length=one.context_length,
            cache_type=one.kv_cache_type,
            num_parallel=one.num_parallel,
        )
        then = judged(SMALL if one.name == "llama3.1:8b" else LARGE, request, on)
        assert (then.run.placement.verdict, then.total_bytes) == (one.verdict, one.total_bytes)
