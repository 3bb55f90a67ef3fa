"""What it costs to load: the package, the widget, the terminal's list."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.bench.figures import Figure, median_of

USUAL = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
"""As users run Python: it keeps what it has compiled."""

TAGS = {
    "models": [
        {
            "name": f"model{number}:7b",
            "model": f"model{number}:7b",
            "modified_at": "2026-11-21T10:00:00.123456789Z",
            "size": 4_000_000_000 + number,
            "digest": f"{number:064x}",
            "details": {
                "format": "gguf",
                "family": "llama",
                "families": ["llama"],
                "parameter_size": "7.2B",
                "quantization_level": "Q4_K_M",
            },
        }
        for number in range(20)
    ]
}


def figures(*, quick: bool) -> Iterator[Figure]:
    times = 5 if quick else 15
    bare = median_of(times, lambda: cpu_seconds("pass"))
    package = median_of(times, lambda: cpu_seconds("import modelwidgets"))
    yield Figure(
        what="import modelwidgets, CPU over bare Python",
        value=(package - bare) * 1000,
        bound=10,
        unit="ms",
        against=f"bare Python {bare * 1000:.0f} ms",
    )
    anywidget = median_of(times, lambda: cpu_seconds("import anywidget"))
    made = median_of(
        times, lambda: cpu_seconds("import modelwidgets\nmodelwidgets.ModelManager", WIDGET)
    )
    yield Figure(
        what="ModelManager(), CPU of its cell against importing anywidget alone",
        value=made / anywidget,
        bound=1.5,
        unit="times",
        against=f"anywidget {anywidget * 1000:.0f} ms",
    )
    with answering_tags() as url:
        httpx = median_of(times, lambda: wall_seconds(["-c", "import httpx"], url))
        listed = median_of(times, lambda: wall_seconds(["-m", "modelwidgets", "list"], url))
    yield Figure(
        what="modelwidgets list, wall, against python -c 'import httpx'",
        value=listed / httpx,
        bound=1.3,
        unit="times",
        against=f"import httpx {httpx * 1000:.0f} ms",
    )


WIDGET = """
import time
began = time.thread_time()
import modelwidgets
modelwidgets.ModelManager("http://127.0.0.1:9")
print(time.thread_time() - began)
import os
os._exit(0)
"""


def cpu_seconds(program: str, timed: str = "") -> float:
    """CPU seconds of a fresh Python that runs `program`; or what `timed` prints of itself."""
    if timed:
        done = subprocess.run(
            [sys.executable, "-c", timed], capture_output=True, text=True, check=True, env=USUAL
        )
        return float(done.stdout)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", program], check=True, env=USUAL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def wall_seconds(words: list[str], url: str) -> float:
    import time

    began = time.perf_counter()
    subprocess.run(
        [sys.executable, *words],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**USUAL, "OLLAMA_HOST": url},
    )
    return time.perf_counter() - began


class answering_tags:  # noqa: N801 - used as a block
    """A server of this process that lists twenty models."""

    def __enter__(self) -> str:
        body = json.dumps(TAGS).encode()

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
