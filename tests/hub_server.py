"""A hub on loopback with the repositories that a test gives it, which counts what is asked."""

from __future__ import annotations

import json
import re
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

LLAMA: dict[str, Any] = {
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "vocab_size": 128256,
}
"""The dimensions of Llama 3.1 8B, as its `config.json` has them."""


@dataclass
class HubServer:
    """Answers as huggingface.co does, as far as sizes are concerned."""

    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    counts: dict[str, Any] = field(default_factory=dict)
    """What it says of `safetensors`, by repository."""
    knows_ranges: bool = True
    asked: list[str] = field(default_factory=list)
    sent_bytes: int = 0
    url: str = ""

    def answer(self, path: str, range_: str | None) -> tuple[int, bytes, dict[str, str]]:
        path = unquote(urlsplit(path).path)
        self.asked.append(f"{path} {range_ or ''}".strip())
        if found := re.fullmatch(r"/api/models/(.+)/revision/[^/]+", path):
            repo = found[1]
            files = self.repos.get(repo)
            if files is None:
                return 401, b"Repository not found", {}
            listed = [{"rfilename": name, "size": len(raw)} for name, raw in files.items()]
            said = {"siblings": listed, "safetensors": self.counts.get(repo)}
            return 200, json.dumps(said).encode(), {}
        if found := re.fullmatch(r"/(.+)/resolve/[^/]+/([^/]+)", path):
            return 302, b"", {"Location": f"/stored/{found[1]}/{found[2]}"}
        found = re.fullmatch(r"/stored/(.+)/([^/]+)", path)
        raw = self.repos.get(found[1], {}).get(found[2]) if found else None
        if raw is None:
            return 404, b"", {}
        if range_ and self.knows_ranges:
            first, last = map(int, range_.removeprefix("bytes=").split("-"))
            part = raw[first : last + 1]
            return 206, part, {"Content-Range": f"bytes {first}-{first + len(part) - 1}/{len(raw)}"}
        return 200, raw, {}


def safetensors(tensors: dict[str, tuple[str, list[int]]], data_bytes: int = 0) -> bytes:
    """A file with these tensors, whose data is only so long."""
    header = json.dumps(
        {
            "__metadata__": {"format": "pt"},
            **{
                name: {"dtype": dtype, "shape": shape, "data_offsets": [0, 0]}
                for name, (dtype, shape) in tensors.items()
            },
        }
    ).encode()
    return struct.pack("<Q", len(header)) + header + bytes(data_bytes)


@contextmanager
def serving() -> Iterator[HubServer]:
    """A hub while the block lasts."""
    hub = HubServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, raw, headers = hub.answer(self.path, self.headers.get("Range"))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(raw)))
            self.send_header("Connection", "close")
            self.end_headers()
            try:
                for at in range(0, len(raw), 1 << 16):
                    self.wfile.write(raw[at : at + (1 << 16)])
                    hub.sent_bytes += len(raw[at : at + (1 << 16)])
            except OSError:
                self.close_connection = True  # who asked has seen enough

        def log_message(self, *_: object) -> None:
            """Nothing is logged."""

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listener.serve_forever)
    thread.start()
    hub.url = f"http://127.0.0.1:{listener.server_port}"
    try:
        yield hub
    finally:
        listener.shutdown()
        thread.join()
        listener.server_close()
