"""Pulls of the embedded store: what is on disk afterwards, and what the reader was told."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from modelwidgets.stores.embedded import EmbeddedStore
from modelwidgets.stores.embedded_pull import PullLimits
from modelwidgets.stores.sample_registry import Fault, SampleRegistry
from modelwidgets.stores.transfer import Patience
from tests.isolation import environment
from tests.small_disk import six_megabytes
from tests.store_bed import (
    MIB,
    QUICK,
    Bed,
    bed,
    client_of,
    digest_of,
    eventually,
    outline,
    weights,
    whole_pull,
)

TWELVE = weights(12 * MIB)
TWELVE_DIGEST = digest_of(TWELVE)


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Bed]:
    """A store and a registry that serves a model of 12 MB."""
    async with bed(tmp_path) as both:
        both.add("library/m12", model=TWELVE, template=b"{{ .Prompt }}")
        yield both


def m12(both: Bed) -> str:
    return f"{both.registry.host_port}/library/m12"


async def test_pull_installs_what_the_registry_serves(two: Bed) -> None:
    """Every byte is there under its digest, and the manifest as the registry sent it."""
    lines = await two.pull(m12(two))

    manifest = two.files.manifest(m12(two))
    assert manifest is not None
    raw = (two.registry.folder / "manifests/library/m12/latest").read_bytes()
    assert outline(lines) == whole_pull()
    assert two.files.manifest_path(two.files.find(name_of(m12(two)))).read_bytes() == raw
    assert manifest.digest == hashlib.sha256(raw).hexdigest()
    assert [digest_of(two.stored(layer.digest)) for layer in manifest.layers] == [
        layer.digest for layer in manifest.layers
    ]
    assert len(two.blob_names()) == len(manifest.layers), "nothing unfinished is left"
