"""What each command of a terminal does; each gives its exit code.

A command loads what it needs and no more, so that a list is there at once.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from modelwidgets.cli_output import json_text, say, say_error
from modelwidgets.errors import InUseError, ModelNotFoundError, ModelWidgetsError, OllamaError
from modelwidgets.records import DeletePlan, InstalledModel
from modelwidgets.sizes import gb
from modelwidgets.tables import visible

if TYPE_CHECKING:
    from modelwidgets.manager import Manager
    from modelwidgets.records import CatalogModel, RunningModel
    from modelwidgets.rows import Rows
    from modelwidgets.stores.ollama import OllamaClient


class NotAskedError(ModelWidgetsError):
    """A question was to be asked where nobody can answer."""


FIT_CODES = (
    "Exit codes: 0 all fit whole on GPUs, 3 in part, 4 only on the CPU, 5 one does not fit, "
    "6 no verdict, because nothing is known of the server's machine"
)


_FIT_CODE = {"full": 0, "moe-partial": 3, "partial": 3, "cpu": 4, "no": 5, None: 6}


def list_installed(arguments: argparse.Namespace) -> int:
    from modelwidgets.text import installed_text

    query = " ".join(arguments.query)
    if query or arguments.csv:
        return _found(arguments, query)
    models = _installed(arguments.url)
    say(json_text(models) if arguments.json else installed_text(models))
    return 0


def _found(arguments: argparse.Namespace, query: str) -> int:
    """What a search finds among the installed models."""
    from modelwidgets.query import parse
    from modelwidgets.query_tree import asks_for
    from modelwidgets.search import OF_THE_CATALOG, Family, Known, no_family, search
    from modelwidgets.text import installed_text

    tree = parse(query)  # before a server is asked
    if asks_for(tree, "running"):
        import asyncio

        models, running = asyncio.run(_beside(arguments.url))
    else:
        models, running = _installed(arguments.url), None
    family: Family = no_family
    if asks_for(tree, *OF_THE_CATALOG):
        from modelwidgets.library import load_catalog

        family = load_catalog().family_of
    fits = None
    if asks_for(tree, "fits"):
        import asyncio

        fits = asyncio.run(_fits(arguments.url))
    found = search(tree, models, Known.of(running=running, family=family, fits=fits))
    nothing = f"No installed model matches {visible(query)!r}."
    _show_rows(arguments, found, installed_text(found) if found or not query else nothing)
    return 0


async def list_catalog(arguments: argparse.Namespace) -> int:
    from modelwidgets.library import load_catalog
    from modelwidgets.query import parse
    from modelwidgets.query_tree import asks_for
    from modelwidgets.search import Known
    from modelwidgets.text import catalog_text

    tree = parse(" ".join(arguments.query))
    installed = running = fits = None
    if asks_for(tree, "installed", "running"):
        installed, running = await _beside(arguments.url)
    if asks_for(tree, "fits"):
        fits = await _fits(arguments.url)
    known = Known.of(installed, running, fits=fits)
    models = load_catalog().with_models(await _samples(arguments.url))
    found = models.search(tree, known=known)
    _show_rows(arguments, found, catalog_text(found, found.matching))
    return 0


def _show_rows(arguments: argparse.Namespace, rows: Rows[Any], text: str) -> None:
    if arguments.json:
        say(json_text(rows))
    elif arguments.csv:
        say(rows.to_csv().replace("\r\n", "\n").rstrip("\n"))
    else:
        say(text)
    if rows.note:
        say(visible(rows.note), "stderr")


async def _samples(url: str | None) -> tuple[CatalogModel, ...]:
    """What a page's catalog has besides: the samples, where they stand in for the registry."""
    from modelwidgets import service
    from modelwidgets.stores.ollama import OllamaClient

    host = None
    with contextlib.suppress(OllamaError):  # the catalog needs no server
        usual = url or await service.usual_url(within_seconds=1.0)
        async with OllamaClient(usual, timeout=1.0) as client:
            host = (await client.identify()).sample_registry
    if host is None:
        return ()
    from modelwidgets.stores.samples import sample_models

    return sample_models(host)


async def _fits(url: str | None) -> dict[str, bool]:
    """By name, what fits on the machine of the server; the catalog's models need no server."""
    from modelwidgets.marking import fits_by_name

    async with _manager(url, needs_answer=False) as manager:
        return fits_by_name((await manager.fit_marks()).marks)


async def _beside(url: str | None) -> tuple[list[InstalledModel], list[RunningModel]]:
    client, models = await _connect(url)
    try:
        return models, await client.list_running()
    finally:
        await client.aclose()


def _installed(url: str | None) -> list[InstalledModel]:
    from modelwidgets.stores.glance import installed_at_a_glance

    models = installed_at_a_glance(url)
    if models is not None:
        return models
    import asyncio

    return asyncio.run(_listed(url))


async def _listed(url: str | None) -> list[InstalledModel]:
    client, models = await _connect(url)
    await client.aclose()
    return models


async def show(arguments: argparse.Namespace) -> int:
    from modelwidgets.text_details import details_text, snippets_text

    async with _manager(arguments.url) as manager:
        details = await manager.details(arguments.name, ask_registry=True)
    if arguments.code:
        found = details.snippets
        say(json_text(found) if arguments.json else snippets_text(found))
    else:
        say(json_text(details) if arguments.json else details_text(details))
    return 0


async def fit(arguments: argparse.Namespace) -> int:
    from modelwidgets.fitting import FitOptions
    from modelwidgets.text_fit import fit_table_text, fit_text

    devices = arguments.device
    if devices == ["none"]:
        devices = []
    options = FitOptions(
        context_length=arguments.ctx,
        kv_cache_type=arguments.cache_type,
        num_parallel=arguments.parallel,
        devices=None if devices is None else tuple(devices),
        ram=arguments.ram,
    )
    async with _manager(arguments.url, needs_answer=False) as manager:
        if len(arguments.names) == 1:
            report = await manager.fit(arguments.names[0], options)
            say(json_text(report) if arguments.json else fit_text(report))
            return _FIT_CODE[report.verdict]
        rows = await manager.fit_table(arguments.names, options)
    say(json_text(rows) if arguments.json else fit_table_text(rows))
    return 1 if any(row.error for row in rows) else max(_FIT_CODE[row.verdict] for row in rows)


async def remove(arguments: argparse.Namespace) -> int:
    names = list(dict.fromkeys(arguments.names))
    done: list[DeletePlan] = []
    try:
        async with _manager(arguments.url) as manager:
            plans = {plan.name: plan for plan in [await _plan(manager, name) for name in names]}
            for plan in plans.values():  # nothing is deleted where one of them is refused
                if plan.running and not arguments.force:
                    raise InUseError(plan.name, "loaded in memory")
            if not arguments.yes and not (sys.stdin and sys.stdin.isatty()):
                raise NotAskedError("Nothing was deleted: nobody can be asked here. Add --yes.")
            for name in plans:
                plan = await _plan(manager, name)  # the one before may have shared layers with it
                if not arguments.yes and not _agreed(plan):
                    say(f"{visible(name)} stays.", "stderr")
                    continue
                done.append(await manager.delete(name, force=arguments.force))
                if not arguments.json:
                    say(f"{visible(name)} deleted: freed {_frees(done[-1])}.")
    except ModelWidgetsError as error:
        say_error(error, str(error), as_json=arguments.json, deleted=done)
        return 1
    if arguments.json:
        say(json_text(done))
    return 0 if len(done) == len(plans) else 1


async def _plan(manager: Manager, name: str) -> DeletePlan:
    try:
        return await manager.plan_delete(name)
    except ModelNotFoundError as error:
        next_step = "`modelwidgets list` shows what is installed."
        raise ModelNotFoundError(error.text, next_step=next_step) from None


def _agreed(plan: DeletePlan) -> bool:
    stays = f"; {gb(plan.kept_bytes)} stay for {', '.join(plan.shared_with)}"
    return _answered_yes(
        f"Delete {plan.name}? It frees {_frees(plan)}{stays if plan.shared_with else ''}."
    )


def _answered_yes(question: str) -> bool:
    """Ask on the terminal; the loop waits meanwhile, because nothing else is under way."""
    print(visible(question), "[y/N] ", end="", file=sys.stderr, flush=True)
    # asyncio would only note an interrupt, and go on waiting for an answer
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return sys.stdin.readline().strip().lower() in ("y", "yes")
    finally:
        signal.signal(signal.SIGINT, before)


def _frees(plan: DeletePlan) -> str:
    return gb(plan.frees_bytes) if plan.exact else f"at most {gb(plan.frees_bytes)}"


async def pull(arguments: argparse.Namespace) -> int:
    import asyncio

    from modelwidgets import names
    from modelwidgets.terminal import watch
    from modelwidgets.text import pulls_text

    for name in arguments.names:
        names.parse(name)  # before any is begun
    interrupted = False
    async with _manager(arguments.url) as manager:
        wanted = arguments.names
        if not arguments.force:
            wanted = [name for name in wanted if await _wanted_all_the_same(manager, name)]
        begun = [manager.pull(name, force=arguments.force) for name in wanted]
        pulls = list(dict.fromkeys(begun))
        try:
            await watch(pulls, quiet=arguments.json)
        except asyncio.CancelledError:
            interrupted = True
            for pull in pulls:
                pull.stop()
    ended = [pull.progress() for pull in pulls]
    done = all(one.state == "done" for one in ended) and wanted == arguments.names
    if arguments.json:
        say(json_text(ended))
    else:
        say(pulls_text(ended), "stdout" if done else "stderr")
    if interrupted:
        say("Interrupted. What was fetched is kept: pull again to go on there.", "stderr")
        return 130
    return 0 if done else 1


def list_pulls(arguments: argparse.Namespace) -> int:
    from datetime import UTC, datetime

    from modelwidgets.elsewhere import listed
    from modelwidgets.ledger import Ledger
    from modelwidgets.text import pulls_text

    pulls = listed(Ledger(), datetime.now(UTC))
    say(json_text(pulls) if arguments.json else pulls_text(pulls))
    if not arguments.json and any(pull.state == "interrupted" for pull in pulls):
        say("Go on with an interrupted one: `modelwidgets pull NAME`.", "stderr")
    return 0


def stop_pulls(arguments: argparse.Namespace) -> int:
    from datetime import UTC, datetime

    from modelwidgets.elsewhere import stop_named
    from modelwidgets.ledger import Ledger

    stopped = stop_named(Ledger(), arguments.names, datetime.now(UTC))
    if arguments.json:
        say(json_text(stopped))
        return 0
    for pull in stopped:
        kept = f"{gb(pull.completed_bytes)} are kept"
        say(f"The pull of {visible(pull.name)} was stopped; {kept}.")
    return 0


async def _wanted_all_the_same(manager: Manager, name: str) -> bool:
    """Whether to pull it; of a model that does not fit a person is asked, a script is told."""
    fit = await manager.mark_before_pull(name)
    if fit is None or fit.verdict != "no":
        return True
    from modelwidgets.text_fit import misfit_text

    said = misfit_text(name, fit, manager.slices["devices"])
    if sys.stdin and sys.stdin.isatty():
        if _answered_yes(f"{said} Pull it all the same?"):
            return True
        say(f"{visible(name)} was not pulled.", "stderr")
        return False
    say(f"{said} It is pulled all the same.", "stderr")
    return True


async def serve(arguments: argparse.Namespace) -> int:
    from modelwidgets.serving import serve

    return await serve(
        host=arguments.host,
        port=arguments.port,
        folder=arguments.folder,
        samples=arguments.samples,
        while_stdin=arguments.while_stdin,
        as_json=arguments.json,
    )


async def open_demo(arguments: argparse.Namespace) -> int:
    from modelwidgets import demo

    if arguments.once:
        return await demo.run_once(arguments.url, as_json=arguments.json)
    return await demo.open_lab(
        arguments.url, arguments.port, browser=not arguments.no_browser, as_json=arguments.json
    )


async def doctor(arguments: argparse.Namespace) -> int:
    from modelwidgets.doctor import checks_text, examine

    checks = await examine(arguments.url)
    say(json_text(checks) if arguments.json else checks_text(checks))
    return 0 if all(check.outcome != "failed" for check in checks) else 1


async def _connect(url: str | None) -> tuple[OllamaClient, list[InstalledModel]]:
    """A client of the server, which answers, and its models.

    Where none is named and none answers, it is the embedded store that a notebook has started.
    """
    from modelwidgets.stores.ollama import OllamaClient

    client = OllamaClient(url)
    try:
        return client, await client.list_models()
    except OllamaError:
        await client.aclose()
        if url is not None or os.environ.get("OLLAMA_HOST"):
            raise
        from modelwidgets import service

        found = await service.find_embedded_store()
        if found is None:
            raise
    return await _connect(found)


@contextlib.asynccontextmanager
async def _manager(url: str | None, *, needs_answer: bool = True) -> AsyncIterator[Manager]:
    """A manager for one command, which has looked at the server."""
    import platform

    from modelwidgets.manager import Manager
    from modelwidgets.stores.ollama import OllamaClient

    try:
        client, _ = await _connect(url)
    except OllamaError:  # which the manager would only note
        if needs_answer:
            raise
        client = OllamaClient(url)
    manager = Manager(client, viewer=f"terminal on {platform.node()}")
    try:
        await manager.refresh()
        yield manager
    finally:
        await manager.close()
