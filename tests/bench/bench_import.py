"""What it costs to load: the package, the widget's cell, the terminal's list.

Each run is a fresh Python. The ratios are taken turn by turn, so that a busy machine slows both
sides alike.
"""

from __future__ import annotations

import json
import statistics
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.bench.figures import Figure, in_turns, run_alone
from tests.bench.processes import own_folder, said, usual, wall_seconds

CPU_OF_PROCESS = "import time\nprint(time.process_time() * 1e3)"
CPU_OF_CELL = """
import os, time
began = time.thread_time()
{}
print((time.thread_time() - began) * 1e3, flush=True)
os._exit(0)  # what goes on beside the cell is not waited for
"""
MANAGER = 'import modelwidgets\nmodelwidgets.ModelManager("http://127.0.0.1:9")'
LIST = """
import sys  # as the installed command does
from modelwidgets.cli import main
sys.exit(main())
"""


def figures(*, quick: bool) -> Iterator[Figure]:
    times = 4 if quick else 15
    with own_folder() as folder:
        env = usual(folder)
        yield package(times, env)
        yield cell(times, env)
        with answering(TAGS) as url:
            yield listing(times, {**env, "OLLAMA_HOST": url})


def package(times: int, env: dict[str, str]) -> Figure:
    turns = list(
        in_turns(
            times,
            lambda: said(CPU_OF_PROCESS, env)[0],
            lambda: said("import modelwidgets\n" + CPU_OF_PROCESS, env)[0],
        )
    )
    return Figure(
        what="import modelwidgets, CPU over bare Python",
        value=statistics.median(ours - bare for bare, ours in turns),
        bound=10,
        unit="ms",
        against=f"bare Python {statistics.median(bare for bare, _ in turns):.0f} ms",
    )


def cell(times: int, env: dict[str, str]) -> Figure:
    turns = list(
        in_turns(
            times,
            lambda: said(CPU_OF_CELL.format("import anywidget"), env)[0],
            lambda: said(CPU_OF_CELL.format(MANAGER), env)[0],
        )
    )
    return Figure(
        what="ModelManager(), CPU of its cell, against import anywidget",
        value=statistics.median(ours / alone for alone, ours in turns),
        bound=1.5,
        unit="times",
        against=f"import anywidget {statistics.median(alone for alone, _ in turns):.0f} ms",
    )


def listing(times: int, env: dict[str, str]) -> Figure:
    turns = list(
        in_turns(
            times,
            lambda: wall_seconds("import httpx", env),
            lambda: wall_seconds(LIST, env, "list"),
        )
    )
    return Figure(
        what="modelwidgets list, wall, against python -c 'import httpx'",
        value=statistics.median(ours / alone for alone, ours in turns),
        bound=1.3,
        unit="times",
        against=f"import httpx {statistics.median(alone for alone, _ in turns) * 1e3:.0f} ms",
    )


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


@contextmanager
def answering(what: dict[str, Any]) -> Iterator[str]:
    """A server of this process that has one answer."""
    body = json.dumps(what).encode()

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    run_alone(figures)
