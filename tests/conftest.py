"""What every test gets: folders of its own, this machine alone, a look at what it leaves."""

from __future__ import annotations

import asyncio
import inspect
import ipaddress
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any

import pytest

import modelwidgets
from tests.isolation import inside, is_foreign

if TYPE_CHECKING:  # these tests need it; the others need not wait for it
    from tests.fit_machine import FitMachine
    from tests.model_server import ModelServer

HERE = Path(__file__).parent
PACKAGE = str(Path(modelwidgets.__file__).parent)


def pytest_configure() -> None:
    """Let what tests start hear interrupts: in a shell's background they begin as ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in filter(is_foreign, list(os.environ)):
        monkeypatch.delenv(name)
    for name, value in inside(tmp_path).items():
        monkeypatch.setenv(name, value)


def stay_on_this_machine(event: str, args: tuple[Any, ...]) -> None:
    """Refuse every connection that is not to loopback (as an audit hook, which sees them all)."""
    if event != "socket.connect":
        return
    connecting, address = args
    if connecting.family not in (socket.AF_INET, socket.AF_INET6):
        return
    if not _is_loopback(address[0]):
        raise AssertionError(f"a test tried to connect to {address[0]}: tests stay here")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


sys.addaudithook(stay_on_this_machine)


# Nothing left behind


@pytest.fixture(autouse=True)
def no_thread_left_behind(own_environment: None) -> Iterator[None]:
    """Fail a test that leaves one of our threads, or work on the loop of our own, behind.

    The sessions that live until the process ends are ended here as there.
    """
    before = set(threading.enumerate())
    yield
    sessions = sys.modules.get("modelwidgets.sessions")
    while sessions and sessions._sessions:
        sessions._sessions.popitem()[1].close()
    loop = sys.modules.get("modelwidgets.loop")
    own = loop and loop._own
    if own and own.alive:
        left = settled(lambda: own.submit(_other_tasks(), "look").result(5))
        own.close()
        assert not left, f"the test left work on our loop: {left}"
    threads = settled(
        lambda: [
            thread.name
            for thread in set(threading.enumerate()) - before
            if thread.name.startswith("modelwidgets")
        ]
    )
    assert not threads, f"the test left threads behind: {threads}"


@pytest.fixture
async def no_task_left_behind() -> AsyncIterator[None]:
    """Fail an async test that leaves one of our tasks on its loop; every one gets this."""
    yield
    await asyncio.sleep(0)  # what was cancelled at the very end may go now
    left = [
        _named(task)
        for task in asyncio.all_tasks()
        if (code := _code(task)) and code.co_filename.startswith(PACKAGE)
    ]
    assert not left, f"the test left tasks behind: {left}"


async def _other_tasks() -> list[str]:
    return [_named(task) for task in asyncio.all_tasks() - {asyncio.current_task()}]


def settled(look: Any, within_seconds: float = 5) -> list[str]:
    """What `look` still finds once it had a moment to go away."""
    end = time.monotonic() + within_seconds
    while (found := look()) and time.monotonic() < end:
        time.sleep(0.01)
    return list(found)


def _code(task: asyncio.Task[Any]) -> CodeType | None:
    """What a task runs; None for the end of an async generator, which has no code of its own."""
    coroutine: Any = task.get_coro()
    return getattr(coroutine, "cr_code", None) or getattr(coroutine, "gi_code", None)


def _named(task: asyncio.Task[Any]) -> str:
    code = _code(task)
    name = f"{code.co_qualname if code else 'a generator'} ({task.get_name()})"
    waits: Any = task.get_coro()
    while (inner := getattr(waits, "cr_await", None)) is not None and hasattr(inner, "cr_await"):
        waits = inner
    frame = getattr(waits, "cr_frame", None)
    return f"{name} at {frame.f_code.co_qualname}:{frame.f_lineno}" if frame else name


@pytest.hookimpl
def pytest_itemcollected(item: pytest.Item) -> None:
    if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.function):
        item.fixturenames.insert(0, "no_task_left_behind")


# Something to manage


@pytest.fixture(scope="session")
def samples_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample models, made once a run; nobody may change them."""
    from modelwidgets.stores.samples import make_samples

    folder = tmp_path_factory.mktemp("samples")
    make_samples(folder)
    return folder


@pytest.fixture
def model_server(tmp_path: Path, samples_folder: Path) -> Iterator[ModelServer]:
    """An embedded store that pulls from a registry of samples."""
    from tests.model_server import ModelServer

    server = ModelServer(tmp_path / "server", samples_folder)
    server.start()
    yield server
    server.stop()


# Something to fit on


@pytest.fixture
def offline(own_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """No registry but those on loopback is in reach."""
    from tests.commands import BLOCKED

    for name, value in BLOCKED.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def nvml(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """The double of NVIDIA's driver in C, compiled once a run; None where there is no compiler."""
    from tests.fake_nvml import compile_doubles, compiler

    if compiler() is None:
        return None
    folder = tmp_path_factory.mktemp("nvml")
    compile_doubles(folder)
    return folder


@pytest.fixture
def machine(nvml: Path | None, monkeypatch: pytest.MonkeyPatch) -> Iterator[FitMachine]:
    """The machine of every server on loopback."""
    from tests.fit_machine import FitMachine

    machine = FitMachine(nvml)
    machine.stand_in(monkeypatch)
    yield machine
    machine.close()


# No skip that nobody allowed


def _allowed_skips() -> set[str]:
    lines = (HERE / "allowed_skips.txt").read_text(encoding="utf-8").splitlines()
    return {line.strip() for line in lines if line.strip() and not line.startswith("#")}


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip for an unlisted reason into a failure under CI, where nobody would see it."""
    if os.environ.get("CI") != "true" or not report.skipped or hasattr(report, "wasxfail"):
        return
    where = report.longrepr
    reason = str(where[2] if isinstance(where, tuple) else where).removeprefix("Skipped: ")
    if reason not in _allowed_skips():
        report.outcome = "failed"
        report.longrepr = (
            f"{report.nodeid} is skipped under CI, and its reason does not stand in "
            f"tests/allowed_skips.txt: {reason}"
        )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[Any]:
    report: pytest.TestReport = yield  # type: ignore[misc]
    _refuse_skip(report)
    return report  # type: ignore[return-value]


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Iterator[Any]:
    report: pytest.CollectReport = yield  # type: ignore[misc]
    _refuse_skip(report)
    return report  # type: ignore[return-value]
