"""The lines on the server and the machine."""

from __future__ import annotations

from dataclasses import replace

import pytest

from modelwidgets.device_records import Gpu
from modelwidgets.text import status_text
from tests.text_records import DEVICES, DISK, GPU, HOSTILE, SERVICE


def test_status() -> None:
    """Server, GPU, RAM and disk, a line each."""
    assert status_text(SERVICE, DEVICES, DISK).splitlines() == [
        "Ollama 0.33.0 running at http://localhost:11434 (kernel on lab7)",
        "GPU   NVIDIA GeForce RTX 4090: 6.1 of 24.0 GiB free",
        "RAM   48.0 of 64.0 GiB available",
        "Disk  41.3 GB used, 312 GB free in /models",
    ]


def test_status_before_anything_was_asked() -> None:
    """What is not known yet is left out."""
    assert status_text(None, None, None) == "The server was not asked yet."


def test_status_of_a_stopped_server() -> None:
    """A server that does not run says why and what to do; so does one that is old or a stand-in."""
    service = replace(
        SERVICE,
        state="stopped",
        kind="unknown",
        version=None,
        reason="Nothing answers. Start it with `ollama serve`.",
        old="Older than 0.19: digests are not checked.",
        sample_registry="127.0.0.1:5000",
    )

    assert status_text(service, None, None).splitlines() == [
        "Server stopped at http://localhost:11434 (kernel on lab7)",
        "Nothing answers. Start it with `ollama serve`.",
        "Older than 0.19: digests are not checked.",
        "No way to the real registry: search the catalog for `samples`, which this machine serves.",
    ]


@pytest.mark.parametrize(
    ("gpu", "line"),
    [
        (
            replace(GPU, name="Apple M2 Max", unified=True, assumed=True),
            "Apple M2 Max: 6.1 of about 24.0 GiB free, shared with the CPU",
        ),
        (
            replace(GPU, free_bytes=None, error="the driver has not answered yet"),
            "NVIDIA GeForce RTX 4090: 24.0 GiB, the driver has not answered yet",
        ),
        (
            replace(GPU, total_bytes=None, free_bytes=None, error="this GPU is lost"),
            "NVIDIA GeForce RTX 4090: this GPU is lost",
        ),
        (
            replace(GPU, total_bytes=None, free_bytes=None),
            "NVIDIA GeForce RTX 4090: memory unknown",
        ),
    ],
)
def test_gpus_in_each_state(gpu: Gpu, line: str) -> None:
    """A GPU that shares memory, is estimated or cannot be asked says so."""
    text = status_text(SERVICE, replace(DEVICES, gpus=(gpu,)), None)

    assert f"GPU   {line}" in text.splitlines()


def test_status_without_gpu_and_with_a_guessed_disk() -> None:
    """Why there is no GPU is told, and a size that is only a bound is marked."""
    devices = replace(DEVICES, gpus=(), reason="no NVIDIA driver here")
    disk = replace(DISK, exact=False, partial_bytes=1_200_000_000, free_bytes=None, path=None)

    lines = status_text(SERVICE, devices, disk).splitlines()

    assert "GPU   no NVIDIA driver here" in lines
    assert "Disk  at most 41.3 GB used, 1.2 GB of unfinished downloads" in lines


def test_hostile_status() -> None:
    """What answers at the address may say anything; it stays a line."""
    service = replace(SERVICE, version=HOSTILE, reason=HOSTILE, viewer=HOSTILE)
    devices = replace(DEVICES, gpus=(replace(GPU, name=HOSTILE),), reason=HOSTILE)

    text = status_text(service, devices, replace(DISK, path=HOSTILE))

    assert len(text.splitlines()) == 6
    assert text.replace("\n", "").isprintable()
