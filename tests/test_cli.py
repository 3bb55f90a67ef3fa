"""The commands, as people and programs call them in a terminal."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from modelwidgets import cli
from modelwidgets.records import DeletePlan, InstalledModel, ModelDetails, PullProgress
from modelwidgets.stores.manifests import MANIFEST_TYPE
from modelwidgets.stores.ollama import OllamaClient
from tests import commands
from tests.answering import answering
from tests.commands import BLOCKED, COMMAND
from tests.isolation import environment
from tests.model_server import ModelServer
from tests.recordings import listening
from tests.scripted import ScriptedServer

SMALL, CHAT, TERSE = "embed:tiny", "chat:tiny", "chat:terse"


@dataclasses.dataclass(frozen=True)
class Said:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Terminal:
    """Runs commands inside `folder`, against the server that OLLAMA_HOST names."""

    def __init__(self, capsys: pytest.CaptureFixture[str], folder: Path) -> None:
        self._capsys = capsys
        self._folder = folder

    def __call__(self, *words: str) -> Said:
        """As a process of its own."""
        host = {"OLLAMA_HOST": os.environ.get("OLLAMA_HOST", "")}
        done = commands.run(self._folder, *words, env=host)
        return Said(done.returncode, done.stdout, done.stderr)

    def here(self, *words: str) -> Said:
        """In this process, which is quicker."""
        self._capsys.readouterr()
        code = cli.main(words)
        captured = self._capsys.readouterr()
        return Said(code, captured.out, captured.err)

    def refused(self, *words: str) -> str:
        """What is said of a call that is wrong."""
        with pytest.raises(SystemExit) as caught:
            cli.main(words)
        assert caught.value.code == 2
        return self._capsys.readouterr().err


@pytest.fixture
def terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Terminal:
    monkeypatch.chdir(tmp_path)
    for name, value in BLOCKED.items():
        monkeypatch.setenv(name, value)
    return Terminal(capsys, tmp_path)


@pytest.fixture
def server(model_server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> ModelServer:
    """The server that commands ask, because OLLAMA_HOST names it."""
    monkeypatch.setenv("OLLAMA_HOST", model_server.url)
    return model_server


def names(record: type) -> set[str]:
    return {field.name for field in dataclasses.fields(record)}


def have(server: ModelServer, *samples: str) -> list[str]:
    """Let the server have samples; gives their names."""
    pulled = [server.name(sample) for sample in samples]

    async def pull() -> None:
        async with OllamaClient(server.url) as client:
            for name in pulled:
                async for _ in client.pull(name, insecure=True):
                    pass

    asyncio.run(pull())
    return pulled


def installed(server: ModelServer) -> list[str]:
    async def ask() -> list[str]:
        async with OllamaClient(server.url) as client:
            return sorted(model.name for model in await client.list_models())

    return asyncio.run(ask())


# What is installed


def test_list(terminal: Terminal, server: ModelServer) -> None:
    """`list` shows the models as a table or as JSON, all or those that match."""
    nothing = terminal.here("list")
    have(server, SMALL, CHAT)

    table = terminal.here("list")
    rows = terminal.here("list", "--json")
    some = terminal.here("list", "embed", "--json")
    none = terminal.here("list", "llama\x1b[2J")

    assert "modelwidgets pull NAME" in nothing.out
    assert table.out.startswith("NAME ")
    assert server.name(SMALL) in table.out
    assert "23.3 M   Q8_0            25 MB" in table.out
    assert [set(row) for row in rows.json] == [names(InstalledModel)] * 2
    assert [row["name"] for row in some.json] == [server.name(SMALL)]
    assert none.out == "No installed model matches 'llama'.\n"
    assert {one.code for one in (nothing, table, rows, some, none)} == {0}
    assert {one.err for one in (nothing, table, rows, some, none)} == {""}


def test_list_searches(terminal: Terminal, server: ModelServer) -> None:
    """`list` takes a search, prints CSV, and says what is not known beside it."""
    have(server, SMALL, CHAT)

    small = terminal.here("list", "size<1GB", "NOT", "running", "--json")
    sheet = terminal.here("list", "--csv")
    mine = terminal.here("list", "yours")

    assert len(small.json) == 2
    assert sheet.out.startswith("name,digest,size_bytes,")
    assert sheet.out.count("\n") == 3
    assert mine.out == "No installed model matches 'yours'.\n"
    assert mine.err == "Not known for 2 models: yours. They are left out.\n"
    assert {one.code for one in (small, sheet, mine)} == {0}


def test_a_search_that_cannot_be_read_is_a_wrong_call(terminal: Terminal) -> None:
    """Carets point at the place, before any server is asked; programs get its numbers."""
    for command in ("list", "catalog"):
        said = terminal.here(command, "vision", "siez<8GB")
        program = terminal.here(command, "vision siez<8GB", "--json")

        assert (said.code, program.code) == (2, 2)
        assert said.out == ""
        assert said.err.splitlines() == [
            "There is no key `siez`. Did you mean `size`?",
            "  vision siez<8GB",
            "         ^^^^",
        ]
        assert program.json["kind"] == "SearchError"
        assert (program.json["offset"], program.json["length"]) == (7, 4)


def test_catalog(terminal: Terminal, server: ModelServer) -> None:
    """`catalog` searches what could be pulled; a server is asked only for what it alone knows."""
    table = terminal.here("catalog", "--url", "http://127.0.0.1:9", "size<6GB", "name=qwen3")
    rows = terminal.here("catalog", "name=qwen3", "--json")
    samples = terminal.here("catalog", "samples", "--json")
    nothing = terminal.here("catalog", "installed")
    refused = terminal.here("catalog", "installed", "--url", "http://127.0.0.1:9")

    assert "MATCHES" in table.out.splitlines()[0]
    assert "0.6b" in table.out.splitlines()[1]
    assert "32b" not in table.out.splitlines()[1]
    assert [row["name"] for row in rows.json] == ["qwen3"]
    assert [row["name"].rpartition("/")[2] for row in samples.json] == ["chat", "vision", "embed"]
    assert nothing.out == "Nothing in the catalog matches.\n"
    assert refused.code == 1
    assert "No Ollama server answers" in refused.err


def test_a_shell_completes_a_search() -> None:
    """Keys, flags, and the values that the catalog has."""
    assert cli._complete_query("vi") == ["vision"]
    assert cli._complete_query("vision si") == ["vision size<"]
    assert cli._complete_query("license:apa")[0] == "license:apache-2.0"


def test_show(terminal: Terminal, server: ModelServer) -> None:
    """`show` tells all that is known of a model, installed or only in the catalog."""
    name, _ = have(server, CHAT, TERSE)

    text = terminal.here("show", name)
    record = terminal.here("show", name, "--json")
    listed = terminal.here("show", "llama3.2", "--json")
    absent = terminal.here("show", "llama3.2:3b").out.splitlines()
    code = terminal.here("show", name, "--code")
    snippets = terminal.here("show", name, "--code", "--json")

    assert f'model="{name}"' in code.out
    assert code.out.startswith("# The embedded store keeps models but runs none")
    assert [one["language"] for one in snippets.json] == ["python"] * 4 + ["shell"]
    assert text.out.startswith(f"{name}\n")
    assert "Quantization  Q8_0" in text.out
    # its settings alone are its own: the weights stay for the other
    assert f"stay for {server.name(TERSE)}" in text.out
    assert "You are a sample." in text.out
    assert set(record.json) == names(ModelDetails)
    assert record.json["info"]["family"] == "llama"
    assert record.json["delete_plan"]["exact"] is True
    assert listed.json["installed"] is None
    for line in (
        "  Installed     no: `modelwidgets pull llama3.2:3b`",
        "  Download      2.0 GB",
        "  Parameters    3B",
        "  Tags          latest, 1b, 3b",
    ):
        assert line in absent
    assert listed.json["catalog"]["publisher"] == "Meta"
    assert [text.code, record.code, listed.code] == [0, 0, 0]


# Pulling


def test_pull(terminal: Terminal, server: ModelServer) -> None:
    """A pull says now and then how far it is, without going back, and how its end was checked."""
    name = server.name(CHAT)
    server.registry.faults.throttle_bytes_per_second = 12e6

    said = terminal("pull", name, name)

    lines = said.err.splitlines()
    shares = [float(line.split("%")[0].split()[-1]) for line in lines if "%" in line]
    assert said.code == 0
    assert said.out.count("\n") == 3  # titles, one pull, its proof
    assert f"{name}: listed with the registry's digest" in said.out
    assert all(line.startswith(f"{name}: ") for line in lines)
    assert 2 <= len(lines) <= 5  # for about two seconds, a line a second at most
    assert " MB/s" in lines[-1]
    assert shares == sorted(shares)
    assert "\x1b" not in said.err
    assert installed(server) == [name]


def test_pull_of_what_is_there(terminal: Terminal, server: ModelServer) -> None:
    """A program gets the record of each pull; one of what is there fetches nothing."""
    [name] = have(server, SMALL)

    said = terminal.here("pull", name, "--json")

    [row] = said.json
    assert (said.code, said.err) == (0, "")
    assert set(row) == names(PullProgress)
    assert (row["state"], row["name"]) == ("done", name)
    assert row["completed_bytes"] == row["total_bytes"]
    assert row["plan"]["to_fetch_bytes"] == 0


def test_a_pull_that_fails(terminal: Terminal, server: ModelServer) -> None:
    """One that fails leaves the others alone; the server's words are given whole."""
    unknown = f"{server.registry.host_port}/samples/nobody:home"

    said = terminal.here("pull", unknown, server.name(SMALL))
    rows = terminal.here("pull", unknown, "--json")

    assert (said.code, said.out) == (1, "")
    assert f"{unknown}: pull model manifest: file does not exist" in said.err
    assert "done" in said.err
    assert installed(server) == [server.name(SMALL)]
    assert (rows.code, rows.err) == (1, "")
    assert [(row["state"], row["error_kind"]) for row in rows.json] == [
        ("failed", "PullFailedError")
    ]


def test_a_pull_that_the_disk_cannot_hold(terminal: Terminal, server: ModelServer) -> None:
    """It is refused with the numbers before the first byte, unless forced."""
    layer = {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{'1' * 64}"}
    config = {"mediaType": "application/json", "digest": f"sha256:{'2' * 64}", "size": 2}
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": config,
        "layers": [{**layer, "size": 10**13}],
    }
    path = server.registry.folder / "manifests" / "samples" / "huge" / "latest"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(manifest))
    name = f"{server.registry.host_port}/samples/huge:latest"

    said = terminal.here("pull", name)
    forced = terminal.here("pull", name, "--force", "--json")

    assert said.code == 1
    assert f"{name} needs 10.0 TB more on disk" in said.err
    assert "too little" in said.err
    assert "`--force`" in said.err
    assert forced.code == 1
    assert forced.json[0]["error_kind"] == "PullFailedError"  # nobody has these bytes


def test_names_are_read_before_anything_is_done(terminal: Terminal, server: ModelServer) -> None:
    """A name that can be none is refused, and with it the whole call."""
    good = server.name(SMALL)

    said = terminal.here("pull", good, "a b")
    shown = terminal.here("show", "../x", "--json")
    removed = terminal.here("rm", "--yes", "\udcff")
    control = terminal.here("pull", "x\x1b[2J")

    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("'a b' is not a model name: ")
    assert shown.json["kind"] == "InvalidNameError"
    assert removed.code == 1
    assert "\\udcff" in removed.err
    assert "\x1b" not in control.err
    assert installed(server) == []
    assert list(server.registry.log) == []


# Deleting


def test_rm(terminal: Terminal, server: ModelServer) -> None:
    """`rm --yes` deletes and says what that freed; shared layers count with the last of them."""
    one, other, small = have(server, CHAT, TERSE, SMALL)

    said = terminal.here("rm", "--yes", one, other)
    record = terminal.here("rm", "-y", "--json", small, small)

    first, second = said.out.splitlines()
    assert first.startswith(f"{one} deleted: freed ")
    assert first.endswith(" B.")  # what it is told to say, not the weights
    assert second == f"{other} deleted: freed 25 MB."
    assert (said.code, said.err) == (0, "")
    [plan] = record.json
    assert set(plan) == names(DeletePlan)
    assert plan["frees_bytes"] > 6_000_000
    assert installed(server) == []


def test_rm_of_what_is_not_there(terminal: Terminal, server: ModelServer) -> None:
    """An unknown model is said so, and the others of the same call stay."""
    [small] = have(server, SMALL)

    said = terminal.here("rm", "--yes", small, "nothing")
    record = terminal.here("rm", "--yes", "--json", "nothing")
    shown = terminal.here("show", "nothing")

    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("nothing is not installed.\n`modelwidgets list` shows")
    assert record.json["kind"] == "ModelNotFoundError"
    assert record.json["deleted"] == []
    assert (shown.code, shown.out) == (1, "")
    assert "nothing:latest is neither installed nor in the catalog" in shown.err
    assert installed(server) == [small]


def test_rm_asks_nobody(terminal: Terminal, server: ModelServer) -> None:
    """Where nobody can be asked, nothing is deleted without `--yes`."""
    [small] = have(server, SMALL)

    said = terminal.here("rm", small)

    assert (said.code, said.out) == (1, "")
    assert said.err == "Nothing was deleted: nobody can be asked here. Add --yes.\n"
    assert installed(server) == [small]


def test_rm_of_a_model_in_use(terminal: Terminal) -> None:
    """A model in memory stays unless forced, and is then unloaded first."""
    server = ScriptedServer()
    server.install("llama3.2:3b", "a" * 64)
    server.install("other:latest", "b" * 64)
    server.running = [{"name": "llama3.2:3b", "model": "llama3.2:3b", "digest": "a" * 64}]

    with answering(server) as url:
        said = terminal.here("rm", "--yes", "other", "llama3.2:3b", "--url", url)
        kept = [model["name"] for model in server.models]
        forced = terminal.here("rm", "--yes", "--force", "llama3.2:3b", "--url", url)

    assert (said.code, said.out) == (1, "")
    assert "llama3.2:3b is in use (loaded in memory)" in said.err
    assert "`--force`" in said.err
    assert kept == ["other:latest", "llama3.2:3b"]
    assert forced.out == "llama3.2:3b deleted: freed at most 10 B.\n"
    assert server.running == []


def test_a_model_that_goes_away_meanwhile(terminal: Terminal) -> None:
    """A model that somebody else deletes meanwhile is an error in words, not a traceback."""
    server = ScriptedServer()
    server.install("one:latest", "a" * 64)
    server.install("two:latest", "b" * 64)
    delete = server._delete

    def deleted_twice(name: str) -> httpx.Response:
        delete(name)
        server.models = [model for model in server.models if model["name"] != "one:latest"]
        return delete(name) if name == "one:latest" else httpx.Response(200)

    server._delete = deleted_twice  # type: ignore[method-assign]
    with answering(server) as url:
        shown = terminal.here("show", "one", "--url", url)
        removed = terminal.here("rm", "--yes", "two", "one", "--json", "--url", url)

    assert (shown.code, shown.out) == (1, "")
    assert removed.code == 1
    assert removed.json["kind"] == "ModelNotFoundError"
    assert [plan["name"] for plan in removed.json["deleted"]] == ["two:latest"]


# Servers that do not do what they should


NEED_A_SERVER = (("list",), ("show", "x"), ("pull", "x"), ("rm", "--yes", "x"))


async def ask(terminal: Terminal, url: str) -> list[Said]:
    """What each command says of a server, to people and to programs."""
    said = []
    for words in NEED_A_SERVER:
        said.append(await asyncio.to_thread(terminal.here, *words, "--url", url))
        said.append(await asyncio.to_thread(terminal.here, *words, "--url", url, "--json"))
    return said


def kinds(said: Sequence[Said]) -> set[str]:
    """The kinds of error, which all are told on the right stream."""
    for text, record in zip(said[::2], said[1::2], strict=True):
        assert (text.code, text.out) == (1, "")
        assert (record.code, record.err) == (1, "")
        assert record.json["error"] == text.err.rstrip("\n")
    return {record.json["kind"] for record in said[1::2]}


async def test_nobody_answers(terminal: Terminal) -> None:
    """Where nothing listens, each command says so and what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        said = await ask(terminal, f"127.0.0.1:{taken.getsockname()[1]}")

    assert kinds(said) == {"OllamaUnreachableError"}
    assert "Start it with `ollama serve`" in said[0].err


async def test_a_server_that_hangs(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """No command waits without end for an answer."""
    monkeypatch.setitem(OllamaClient.__init__.__kwdefaults__, "timeout", 0.2)

    async def say_nothing(_server: Any, reader: asyncio.StreamReader, _writer: Any) -> None:
        await reader.read()

    async with listening(say_nothing) as server:
        said = await ask(terminal, server.url)

    assert kinds(said) == {"OllamaTimeoutError"}


async def test_a_server_that_is_none(terminal: Terminal) -> None:
    """A web page in place of an answer is quoted, without its control over the terminal."""

    async def page(_server: Any, _reader: Any, writer: asyncio.StreamWriter) -> None:
        body = b"<html><title>\x1b[2JIntranet</title></html>"
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n"
        writer.write(head % len(body) + body)
        await writer.drain()

    async with listening(page) as server:
        said = await ask(terminal, server.url)

    assert kinds(said) == {"BadAnswerError"}
    assert not any("\x1b" in one.err + one.out for one in said)


def test_an_address_that_is_none(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong address is refused; a wrong port in OLLAMA_HOST is passed over with a word."""
    refused = terminal.here("list", "--url", "http://a b")
    with answering(ScriptedServer()) as url:
        monkeypatch.setattr("modelwidgets.stores.address._PORT", int(url.rpartition(":")[2]))
        monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:port")
        warned = terminal.here("list")

    assert refused.code == 1
    assert "'http://a b' is not an address of an Ollama server" in refused.err
    assert warned.code == 0
    assert warned.err.startswith("Warning: The port of OLLAMA_HOST is not a number")
    assert warned.err.count("\n") == 1


def test_the_store_of_a_notebook_is_found(
    terminal: Terminal, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where no server is named and none answers, the embedded store that runs is asked."""
    have(model_server, SMALL)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setattr("modelwidgets.stores.address._PORT", taken.getsockname()[1])
        (tmp_path / "state").mkdir()
        remembered = tmp_path / "state" / "embedded-store.json"
        remembered.write_text(json.dumps({"url": model_server.url}))

        listed = terminal.here("list", "--json")

    assert [row["name"] for row in listed.json] == [model_server.name(SMALL)]


# The call itself


def test_a_wrong_call(terminal: Terminal) -> None:
    """What cannot be meant ends with 2 and the usage."""
    assert "required: COMMAND" in terminal.refused()
    assert "invalid choice: 'fly'" in terminal.refused("fly")
    assert "unrecognized arguments: --jsn" in terminal.refused("list", "--jsn")
    assert "required: NAME" in terminal.refused("pull")


def test_a_mistake_of_ours(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even a bug is told in a line that says where it is, to people and to programs."""

    def broken(*_: object, **__: object) -> str:
        raise KeyError("x")

    monkeypatch.setattr("modelwidgets.text.installed_text", broken)
    with answering(ScriptedServer()) as url:
        said = terminal.here("list", "--url", url)

    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("A mistake of modelwidgets itself, please report it: KeyError('x')")
    assert "in test_cli.py, line " in said.err


def test_an_installation_that_is_not_whole(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package that is missing is named, with what to do."""
    monkeypatch.setitem(sys.modules, "modelwidgets.text", None)

    with answering(ScriptedServer()) as url:
        said = terminal.here("list", "--url", url)

    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("This installation is not whole (")
    assert said.err.endswith("): install modelwidgets again.\n")


# As a process


def test_the_program(tmp_path: Path, model_server: ModelServer) -> None:
    """`python -m modelwidgets` is the command, with its exit codes."""
    env = {"OLLAMA_HOST": model_server.url}

    listed = commands.run(tmp_path, "list", "--json", env=env)
    wrong = commands.run(tmp_path, "list", "--jsn")

    assert (listed.returncode, listed.stdout, listed.stderr) == (0, "[]\n", "")
    assert wrong.returncode == 2


def test_a_reader_that_leaves(tmp_path: Path) -> None:
    """`| head` ends a list without a word, whatever was still to be said."""
    server = ScriptedServer()
    for number in range(2000):
        server.install(f"model-{number}:latest", f"{number:064}")
    with answering(server) as url:
        command = [*COMMAND, "list", "--json", "--url", url]
        env = environment(tmp_path)
        with subprocess.Popen(
            command, env=env, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout
            assert process.stderr
            begin = process.stdout.read(1)
            process.stdout.close()
            said = process.stderr.read()

    assert begin == b"["
    assert (process.returncode, said) == (0, b"")
