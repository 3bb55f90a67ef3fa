"""An embedded store with the sample models, in a temporary folder, for notebooks to speak to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.isolation import environment


@contextmanager
def sample_store() -> Iterator[None]:
    """Make this process and the kernels that it starts use the store, and nothing of the user's."""
    with tempfile.TemporaryDirectory(prefix="modelwidgets-notebooks-") as name:
        folder = Path(name)
        env = environment(folder)
        command = [sys.executable, "-m", "modelwidgets", "serve", "--json", "--port", "0"]
        command += ["--samples", "always", "--while-stdin", "--folder", str(folder / "models")]
        server = subprocess.Popen(
            command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        try:
            assert server.stdout is not None
            said = json.loads(server.stdout.readline() or "{}")
            if "url" not in said:
                raise RuntimeError(f"the store for the notebooks did not start: {said}")
            os.environ.clear()
            os.environ.update(env, OLLAMA_HOST=said["url"])
            yield
        finally:
            server.communicate(timeout=20)
