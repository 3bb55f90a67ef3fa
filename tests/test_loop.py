"""Handles and loops, without a kernel (`tests/kernels` has the rest)."""

from __future__ import annotations

import asyncio
import os
import threading
import time

import pytest

from modelwidgets.errors import NotFinishedError
from modelwidgets.loop import KernelLoop, OwnLoop, choose_loop, own_loop


async def value(seconds: float = 0.0) -> int:
    await asyncio.sleep(seconds)
    return 42


def test_a_handle_is_asked_from_another_thread() -> None:
    """`.result()` waits for the value."""
    assert own_loop().submit(value(0.05), "value").result() == 42


async def test_a_handle_is_awaited_from_another_loop() -> None:
    """And the loop that awaits goes on meanwhile."""
    handle = own_loop().submit(value(0.05), "value")

    assert await handle == 42
    assert handle.done()


def test_a_limit_of_time_leaves_the_work_alone() -> None:
    """Who stops waiting may ask again."""
    handle = own_loop().submit(value(0.3), "value")

    with pytest.raises(TimeoutError, match=r"value: not finished within 0\.05 s"):
        handle.result(0.05)
    assert handle.result(5) == 42


async def test_cancelling_who_awaits_cancels_the_work() -> None:
    """An interrupted cell does not leave behind what it waited for."""
    ended = threading.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(30)
        finally:
            ended.set()

    handle = own_loop().submit(work(), "work")
    waiting = asyncio.ensure_future(_await(handle))
    await asyncio.sleep(0.05)
    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await asyncio.to_thread(ended.wait, 2)


async def _await(handle: object) -> None:
    await handle  # type: ignore[misc]


def test_asking_on_the_loop_itself_raises_instead_of_hanging() -> None:
    """An observer that the loop calls cannot wait for the loop."""
    loop = own_loop()

    async def ask() -> None:
        loop.submit(value(0.2), "value").result()

    with pytest.raises(NotFinishedError):
        loop.submit(ask(), "ask").result(5)


async def test_on_the_callers_loop_an_unfinished_result_raises() -> None:
    """`loop="kernel"` never hangs."""
    loop = KernelLoop()
    handle = loop.submit(value(0.05), "value")

    with pytest.raises(NotFinishedError, match="await it"):
        handle.result()
    assert await handle == 42
    assert handle.result() == 42


def test_the_callers_loop_needs_a_running_one() -> None:
    """A script is told what to do."""
    with pytest.raises(RuntimeError, match="running event loop"):
        choose_loop("kernel")


def test_an_unknown_loop_is_named() -> None:
    """With what there is to choose from."""
    with pytest.raises(ValueError, match='loop=\'fast\': use "auto", "thread" or "kernel"'):
        choose_loop("fast")  # type: ignore[arg-type]


def test_closing_cancels_what_runs_and_ends_the_thread() -> None:
    """Within a moment, and a second time without harm."""
    loop = OwnLoop()
    handle = loop.submit(value(60), "value")
    began = time.monotonic()

    loop.close()
    loop.close()

    assert time.monotonic() - began < 2
    assert handle.done()
    assert not loop.alive


def test_a_loop_that_has_ended_says_so() -> None:
    """Whoever asks it is not left waiting for ever."""
    loop = OwnLoop()
    loop.close()

    with pytest.raises(RuntimeError, match="has ended"):
        loop.submit(value(), "value")
    with pytest.raises(RuntimeError, match="has ended"):
        loop.hand_over(print)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_gets_a_loop_of_its_own() -> None:
    """The thread does not survive a fork, and a child must not wait for it."""
    own_loop().submit(value(), "value").result()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, str(own_loop().submit(value(), "value").result(5)).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        said = answer.read()
    os.waitpid(child, 0)

    assert said == "42"
