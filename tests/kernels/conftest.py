"""Kernels of several versions of ipykernel, without a browser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.isolation import environment
from tests.kernels.environments import KERNELS, NEWEST, kernel_python
from tests.kernels.kernel import Kernel
from tests.model_server import ModelServer


@pytest.fixture(scope="session", params=[*KERNELS, NEWEST], ids="ipykernel-{}".format)
def python(request: pytest.FixtureRequest) -> Path:
    """The Python of an environment with one version of ipykernel."""
    return kernel_python(request.param)


@pytest.fixture
async def kernel(python: Path, tmp_path: Path, model_server: ModelServer) -> AsyncIterator[Kernel]:
    """A fresh kernel that has a server to manage, and whose folders lie inside the test's own.

    What is printed outside a running cell fails the test: nobody would see it in the right place.
    """
    kernel = Kernel(python, tmp_path, environment(tmp_path, OLLAMA_HOST=model_server.url))
    try:
        await kernel.start()
        yield kernel
    finally:
        await kernel.close()
    assert kernel.stray == []
