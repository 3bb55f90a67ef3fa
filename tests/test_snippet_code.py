"""Code that uses a model: right for its libraries, and safe to copy whatever the name holds."""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import json
import shlex
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from modelwidgets.snippet_code import PICTURE, Kind, kind_of, python_text, write_snippets

URL = "http://localhost:11434"
NEEDS_SH = pytest.mark.skipif(not shutil.which("sh"), reason="this system has no POSIX shell")
KINDS: tuple[Kind, ...] = ("chat", "vision", "embedding")
HOSTILE = (
    'x"); import os; os.system("touch /tmp/owned"); ("',
    "x'; touch owned; echo '",
    "$(touch owned) `touch owned` ${HOME} !! %n %s",
    "back\\slash\\",
    "line\nbreak\r\n# and more",
    "\u202egpj.exe\u202c \u200b",
    "\x1b[31mred\x1b[0m \x00",
    "نموذج 模型 🦙",
    "PICTURE",
    "n" * 200,
)


def code_of(name: str, kind: Kind, title: str, *, url: str = URL) -> str:
    return next(one.code for one in write_snippets(name, url=url, kind=kind) if one.title == title)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", HOSTILE)
def test_python_stays_the_same_program_with_the_name_as_data(name: str, kind: Kind) -> None:
    """Another name changes nothing but one literal, and nothing in it is hidden."""
    for snippet in write_snippets(name, url=URL, kind=kind):
        if snippet.language != "python":
            continue
        plain = code_of("llama3.2:3b", kind, snippet.title)

        tree = ast.parse(snippet.code)

        names = [node for node in ast.walk(tree) if isinstance(node, ast.Constant)]
        assert [node.value for node in names].count(name) == 1
        for node in names:
            node.value = "llama3.2:3b" if node.value == name else node.value
        assert ast.unparse(tree) == ast.unparse(ast.parse(plain))
        assert snippet.code.replace("\n", "").isprintable()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", HOSTILE)
def test_the_shell_sees_the_name_as_data(name: str, kind: Kind) -> None:
    """The words of the command are those of a plain name, with another body."""
    code, plain = code_of(name, kind, "curl"), code_of("llama3.2:3b", kind, "curl")

    words, others = shlex.split(code), shlex.split(plain)

    assert len(words) == len(others)
    bodies = [(word, other) for word, other in zip(words, others, strict=True) if word != other]
    assert len(bodies) == 1
    tail = '"]}]}' if kind == "vision" else ""
    assert json.loads(bodies[0][0] + tail)["model"] == name
    assert code.replace("\n", "").isprintable()


@NEEDS_SH
@pytest.mark.parametrize("kind", KINDS)
def test_a_shell_can_read_the_command(kind: Kind) -> None:
    """Checked by the shell itself, for all names at once."""
    code = "".join(code_of(name, kind, "curl") for name in HOSTILE)

    checked = subprocess.run(["sh", "-n"], input=code.encode(), capture_output=True, check=False)

    assert (checked.returncode, checked.stderr) == (0, b"")


def test_what_the_code_shows_follows_from_what_the_model_can() -> None:
    """Embedding models embed, vision models are given a picture, all others are asked."""
    assert kind_of(("embedding",)) == "embedding"
    assert kind_of(("completion", "vision", "tools")) == "vision"
    assert kind_of(("completion", "tools")) == "chat"
    assert kind_of(None, ("nomic-bert",)) == "embedding"
    assert kind_of(None, ("llama",)) == "chat"


def test_a_key_comes_from_the_environment() -> None:
    """For a server elsewhere the code sends one along, and never holds it."""
    local = code_of("llama3.2", "chat", "curl")
    far = code_of("llama3.2", "chat", "curl", url="https://gpu.example:443/ollama")

    assert "Authorization" not in local
    assert '-H "Authorization: Bearer $OLLAMA_API_KEY"' in far
    assert "https://gpu.example:443/ollama/api/chat" in far
    assert "OLLAMA_API_KEY" in code_of("x", "chat", "Ollama client", url="https://gpu.example")
    assert 'os.environ.get("OLLAMA_API_KEY"' in code_of("x", "embedding", "OpenAI client")


def test_what_must_be_so_before_is_said() -> None:
    """The embedded store runs nothing, and what is not installed is pulled first."""

    def notes(**how: bool) -> set[str | None]:
        return {one.note for one in write_snippets("x", url=URL, kind="chat", **how)}

    assert notes() == {None}
    assert notes(installed=False) == {"It is not installed: pull it first."}
    (said,) = notes(embedded=True)
    assert "runs none" in str(said)


def test_a_python_literal_is_read_back() -> None:
    """Whatever the text."""
    for text in (*HOSTILE, "", '"""', "\ud800"):
        assert ast.literal_eval(python_text(text)) == text


class _Answers(BaseHTTPRequestHandler):
    """A server that runs models, as far as the client asks."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, body))  # type: ignore[attr-defined]
        message = {"role": "assistant", "content": "Because."}
        answer: dict[str, Any] = {"model": body["model"], "message": message, "done": True}
        if self.path == "/api/embed":
            answer = {"model": body["model"], "embeddings": [[0.1, 0.2]] * len(body["input"])}
        raw = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def running_models() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    server.asked = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def run(code: str) -> str:
    """What it printed."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "snippet", "exec"), {})  # noqa: S102 - it is what is tested
    return out.getvalue()


@pytest.mark.parametrize("kind", KINDS)
def test_the_ollama_client_runs_the_code(
    kind: Kind,
    running_models: ThreadingHTTPServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Against a server that answers: a question, a picture, two texts to embed."""
    monkeypatch.chdir(tmp_path)
    Path(PICTURE).write_bytes(b"a picture")
    url = f"http://127.0.0.1:{running_models.server_port}"

    printed = run(code_of("llama3.2:3b", kind, "Ollama client", url=url))

    ((path, body),) = running_models.asked  # type: ignore[attr-defined]
    assert body["model"] == "llama3.2:3b"
    if kind == "embedding":
        assert (path, len(body["input"])) == ("/api/embed", 2)
        assert "2 [0.1, 0.2]" in printed
    else:
        assert (path, printed) == ("/api/chat", "Because.\n")
        images = body["messages"][0].get("images")
        assert images == (["YSBwaWN0dXJl"] if kind == "vision" else None)


@NEEDS_SH
def test_the_shell_puts_the_picture_into_the_body(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What would be sent is the JSON that the server wants, however long the picture."""
    monkeypatch.chdir(tmp_path)
    Path(PICTURE).write_bytes(bytes(range(256)) * 100)
    code = "curl() { cat; }\n" + code_of("it's %s", "vision", "curl")

    sent = subprocess.run(["sh", "-c", code], capture_output=True, text=True, check=True).stdout

    body = json.loads(sent)
    assert body["model"] == "it's %s"
    assert base64.b64decode(body["messages"][0]["images"][0]) == bytes(range(256)) * 100
