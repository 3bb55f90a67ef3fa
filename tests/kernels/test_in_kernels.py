"""Where the work runs, seen from real kernels: ipykernel 6.31, 7.3 and the newest."""

from __future__ import annotations

import time

import psutil

from tests.kernels.kernel import Kernel
from tests.model_server import ModelServer

SLOW_BYTES_PER_SECOND = 400_000
"""At this pace a sample takes about a minute."""


async def widget(kernel: Kernel, name: str) -> str:
    """The comm of the widget in the variable `name`."""
    return (await kernel.run(f"print({name}.model_id)")).printed.strip()


async def test_an_interrupt_stops_the_pull_that_the_cell_waits_for(
    kernel: Kernel, model_server: ModelServer
) -> None:
    """An interrupt takes effect within a second and stops what the cell waits for, only that."""
    model_server.registry.faults.throttle_bytes_per_second = SLOW_BYTES_PER_SECOND
    waited, other = model_server.name("embed:tiny"), model_server.name("vision:tiny")
    await kernel.run(f"from modelwidgets import pull\nwaited, other = {waited!r}, {other!r}")
    await kernel.run("import time\nbackground = pull(other)")

    for waiting in ("await pull(waited)", "pull(waited).result()"):
        cell = kernel.send(f"try:\n    {waiting}\nfinally:\n    print(time.monotonic())")
        await kernel.until(lambda: model_server.sending() == {waited, other})

        interrupted = await kernel.interrupt()
        await cell.wait()
        await kernel.until(lambda: model_server.sending() == {other})

        assert float(cell.printed) - interrupted < 3  # aim: 1 s
        assert cell.error_name in ("KeyboardInterrupt", "CancelledError")
    model_server.registry.faults.throttle_bytes_per_second = None
    assert (await kernel.run("print(background.result().state)")).printed == "done\n"


async def test_handles_work_on_both_loops_and_never_hang(
    kernel: Kernel, model_server: ModelServer
) -> None:
    """A handle is awaited or asked; on the kernel's loop asking too early says so at once."""
    name = model_server.name("embed:tiny")
    await kernel.run("from modelwidgets import ModelManager, installed, status")
    await kernel.run("manager = ModelManager(loop='kernel')")

    asked = await kernel.run("print(status().result().state, list(installed().result()))")
    awaited = await kernel.run("print((await status()).state, list(await installed()))")
    too_early = await kernel.send(f"manager.pull({name!r}).result()").wait()
    pulled = await kernel.run(f"pulled = manager.pull({name!r})\nprint((await pulled).state)")
    listed = await kernel.run("print(len(await manager.installed()), pulled.result().state)")

    assert asked.printed == awaited.printed == "running []\n"
    assert too_early.error_name == "NotFinishedError"
    assert "await it instead" in too_early.errors[-1]
    assert pulled.printed == "done\n"
    assert listed.printed == "1 done\n"


async def test_messages_arrive_while_a_cell_is_busy(
    kernel: Kernel, model_server: ModelServer
) -> None:
    """The bar moves while a cell sleeps; where the kernel has subshells a click gets through."""
    model_server.registry.faults.throttle_bytes_per_second = SLOW_BYTES_PER_SECOND
    await kernel.run("from modelwidgets import PullBars\nimport time\nbars = PullBars()")
    bars = await widget(kernel, "bars")
    page = await kernel.subshell()
    await kernel.run(f"handle = bars.pull({model_server.name('chat:tiny')!r})")
    await kernel.until(model_server.sending)

    cell = kernel.send("time.sleep(4)\nprint('slept')")
    await kernel.until(lambda: cell.began + 1 < time.monotonic())
    before = len(kernel.custom(bars))
    told = [message for message in kernel.custom(bars) if message["op"] == "patch"]
    (row,) = told[-1]["rows"]
    kernel.click(bars, {"op": "call", "id": 1, "method": "stop", "params": {"id": row}}, page)
    await cell.wait()
    ended = time.monotonic()
    answer = await kernel.until(lambda: kernel.reply(bars, 1))

    assert cell.printed == "slept\n"
    assert before >= 5  # 10 a second at most
    assert answer.custom["ok"]
    if page is not None:
        assert answer.at < ended - 0.5
    await kernel.until(lambda: not model_server.sending())


async def test_shutting_down_ends_everything_in_order(
    kernel: Kernel, model_server: ModelServer
) -> None:
    """A kernel with a pull under way is gone within two seconds, and nothing of it lives on."""
    model_server.registry.faults.throttle_bytes_per_second = SLOW_BYTES_PER_SECOND
    name = model_server.name("chat:tiny")
    await kernel.run("from modelwidgets import ModelManager\nmanager = ModelManager()")
    await kernel.run(f"handle = manager.pull({name!r})")
    await kernel.until(model_server.sending)
    processes = [psutil.Process(kernel.pid), *psutil.Process(kernel.pid).children(recursive=True)]

    seconds = await kernel.shut_down()

    assert seconds < 6  # aim: 2 s; a deadline of three times that
    psutil.wait_procs(processes, timeout=1)
    assert not [process for process in processes if process.is_running()]
    await kernel.until(lambda: not model_server.sending(), within_seconds=6)


async def test_running_a_cell_again_closes_its_earlier_widget(
    kernel: Kernel, model_server: ModelServer
) -> None:
    """The second run of a cell closes the widget of the first; the pull goes on."""
    await kernel.run("from modelwidgets import ModelManager, pull", cell="imports")
    await kernel.run("manager = ModelManager()", cell="manager")
    first = await widget(kernel, "manager")
    model_server.registry.faults.throttle_bytes_per_second = SLOW_BYTES_PER_SECOND
    await kernel.run(f"handle = pull({model_server.name('embed:tiny')!r})", cell="pull")
    await kernel.until(model_server.sending)

    await kernel.run("manager = ModelManager()", cell="manager")
    second = await widget(kernel, "manager")

    assert [message.kind for message in kernel.of(first)][-1] == "comm_close"
    assert second != first
    assert "comm_close" not in [message.kind for message in kernel.of(second)]
    model_server.registry.faults.throttle_bytes_per_second = None
    assert (await kernel.run("print(handle.result().state)")).printed == "done\n"
