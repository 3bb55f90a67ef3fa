# PYTHON_ARGCOMPLETE_OK
"""Door 3: terminals.

Exit codes: 0 done, 1 failed (the reason on standard error), 2 a wrong call, 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import io
import json
import os
import signal
import sys
import traceback
import warnings
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Literal, TextIO

from modelwidgets.errors import (
    InUseError,
    ModelNotFoundError,
    ModelWidgetsError,
    OllamaError,
    SearchError,
)
from modelwidgets.plain_json import as_json
from modelwidgets.records import DeletePlan, InstalledModel
from modelwidgets.tables import visible, visible_lines

if TYPE_CHECKING:
    from modelwidgets.manager import Manager
    from modelwidgets.records import CatalogModel, RunningModel
    from modelwidgets.rows import Rows
    from modelwidgets.stores.ollama import OllamaClient


class NotAskedError(ModelWidgetsError):
    """A question was to be asked where nobody can answer."""


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; gives the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a bar's blocks are in no Windows code page
    arguments = _parser().parse_args(words)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default", UserWarning)
            warnings.showwarning = _say_warning
            code = _ended(arguments.command(arguments))
    except KeyboardInterrupt:
        _say("Interrupted.", "stderr")
        return 130
    except SearchError as error:
        place = {"offset": error.offset, "length": error.length}
        _say_error(error, str(error), as_json=arguments.json, **place)
        return 2
    except ModelWidgetsError as error:
        _say_error(error, str(error), as_json=arguments.json)
    except BrokenPipeError as error:
        _say_error(error, "Nobody reads any longer what is said.", as_json=False)
    except OSError as error:
        _say_error(error, f"{error}.", as_json=arguments.json)
    except ImportError as error:
        text = f"This installation is not whole ({error}): install modelwidgets again."
        _say_error(error, text, as_json=arguments.json)
    except Exception as error:  # noqa: BLE001 - a user can do nothing with a traceback
        at = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{os.path.basename(at.filename)}, line {at.lineno}"  # noqa: PTH119 - shorter
        text = f"A mistake of modelwidgets itself, please report it: {error!r} in {where}."
        _say_error(error, text, as_json=arguments.json)
    else:
        return code
    return 1


def _ended(command: int | Coroutine[Any, Any, int]) -> int:
    """The exit code of a command, most of which need a loop to run on."""
    if isinstance(command, int):
        return command
    import asyncio

    return asyncio.run(command)


def _say(text: str, to: Literal["stdout", "stderr"] = "stdout") -> None:
    """Print, whether or not somebody still reads (`| head`) or ever could (`>&-`)."""
    stream: TextIO | None = getattr(sys, to)
    if stream is None:
        return
    try:
        print(text, file=stream, flush=True)
    except OSError as error:
        # Python tries again at its end, and would complain then
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if error.errno not in (errno.EPIPE, errno.EINVAL):  # what Windows says for a closed pipe
            raise


def _say_error(error: Exception, text: str, *, as_json: bool, **more: Any) -> None:
    if as_json:
        # one line, because who has started `serve` reads one
        _say(_json({"error": text, "kind": type(error).__name__, **more}, indent=None))
    else:
        _say("\n".join(visible_lines(text)), "stderr")


def _say_warning(message: Warning | str, *_where: Any, **_more: Any) -> None:
    _say(f"Warning: {visible(str(message))}", "stderr")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="modelwidgets",
        description="Manage the models of an Ollama server.",
        allow_abbrev=False,
    )
    from modelwidgets import __version__

    parser.add_argument("--version", action="version", version=f"modelwidgets {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(name: str, command: Any, help_text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help_text, description=help_text, allow_abbrev=False)
        sub.add_argument("--json", action="store_true", help="print JSON for programs")
        sub.set_defaults(command=command)
        return sub

    def add_url(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--url", help="the server (default: OLLAMA_HOST, else the local one)")

    def add_query(sub: argparse.ArgumentParser) -> None:
        query = sub.add_argument("query", nargs="*", metavar="QUERY", help=_QUERY_HELP)
        query.completer = _complete_query  # type: ignore[attr-defined] # argcomplete's way
        sub.add_argument("--csv", action="store_true", help="print CSV for spreadsheets")

    listing = add("list", _list, "show the installed models")
    add_query(listing)
    browsing = add("catalog", _catalog, "show the models worth knowing")
    add_query(browsing)
    pull = add("pull", _pull, "pull models, with a bar")
    pull.add_argument("names", nargs="+", metavar="NAME")
    pull.add_argument(
        "--force", action="store_true", help="pull even where the disk seems too small"
    )
    remove = add("rm", _remove, "delete models")
    remove.add_argument("names", nargs="+", metavar="NAME")
    remove.add_argument("--yes", "-y", action="store_true", help="do not ask")
    remove.add_argument("--force", action="store_true", help="also when loaded in memory")
    show = add("show", _show, "show everything known of a model")
    show.add_argument("name", metavar="NAME")
    show.add_argument("--code", action="store_true", help="show code that uses it instead")
    fitting = add("fit", _fit, "say whether models fit, before they are pulled")
    fitting.description = f"{fitting.description}. {_FIT_CODES}"
    fitting.add_argument("names", nargs="+", metavar="NAME", help="a model, or a GGUF file")
    fitting.add_argument(
        "--ctx", type=_positive, metavar="N", help="context in tokens (default: as the server)"
    )
    fitting.add_argument(
        "--cache-type", default="f16", metavar="T", type=_cache_type, help="f16, q8_0, q4_0..."
    )
    fitting.add_argument(
        "--parallel", type=_positive, default=1, metavar="N", help="requests at a time"
    )
    fitting.add_argument(
        "--device",
        action="append",
        metavar="GPU",
        help="a GPU of another machine: 24GiB, 'RTX 4090', '2 x 80GiB'; none: no GPU; repeatable",
    )
    fitting.add_argument("--ram", metavar="SIZE", help="the RAM of that machine: 64GiB")
    for sub in (
        listing,
        browsing,
        fitting,
        pull,
        remove,
        show,
        add("doctor", _doctor, "say what works here, and why the rest does not"),
    ):
        add_url(sub)

    serve = add(
        "serve", _serve, "run the embedded store, an Ollama-compatible server without Ollama"
    )
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (loopback)")
    serve.add_argument(
        "--port", type=_port, default=11434, help="port, or `auto`: 11434 if free, else any"
    )
    serve.add_argument("--folder", help="where models lie (default: OLLAMA_MODELS, else our own)")
    serve.add_argument(
        "--samples",
        choices=("never", "auto", "always"),
        default="never",
        help="serve a few tiny sample models too (auto: where the real registry is out of reach)",
    )
    serve.add_argument("--while-stdin", action="store_true", help="end when standard input ends")
    demo = add("demo", _demo, "open the quickstart notebook, or run it without a browser")
    demo.add_argument("--once", action="store_true", help="run it without a browser and report")
    demo.add_argument("--url", help="use this server (--once: instead of a store of its own)")
    demo.add_argument("--port", type=int, default=0, help="port of JupyterLab (default: any)")
    demo.add_argument("--no-browser", action="store_true", help="print the address only")
    if "_ARGCOMPLETE" in os.environ:  # a shell asks what could follow
        with contextlib.suppress(ImportError):
            import argcomplete  # the extra `cli`

            argcomplete.autocomplete(parser)
    return parser


def _port(text: str) -> int | None:
    if text == "auto":
        return None
    if text.isascii() and text.isdecimal() and int(text) < 65536:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no port: use a number up to 65535, or `auto`")


def _positive(text: str) -> int:
    if text.isascii() and text.isdecimal() and 0 < int(text) < 1 << 31:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")


def _cache_type(text: str) -> str:
    from modelwidgets.memory.kv_cache import CACHE_TYPES

    if text in CACHE_TYPES:
        return text
    raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(CACHE_TYPES)}")


_FIT_CODES = (
    "Exit codes: 0 all fit whole on GPUs, 3 in part, 4 only on the CPU, 5 one does not fit, "
    "6 no verdict, because nothing is known of the server's machine"
)
_FIT_CODE = {"full": 0, "moe-partial": 3, "partial": 3, "cpu": 4, "no": 5, None: 6}

_QUERY_HELP = (
    "a search, in quotes because of the shell: 'size<8GB quant:q4 vision', 'code OR math', "
    "'llama NOT tools'"
)


def _complete_query(prefix: str, **_: Any) -> list[str]:
    """For the shell, which asks for what a word could become."""
    from modelwidgets.completion import complete
    from modelwidgets.library import load_catalog
    from modelwidgets.search import values_of

    done = complete(prefix, len(prefix), values_of(load_catalog().models))
    return [prefix[: done.start] + text.rstrip() for text in done.texts]


def _list(arguments: argparse.Namespace) -> int:
    from modelwidgets.text import installed_text

    query = " ".join(arguments.query)
    if query or arguments.csv:
        return _found(arguments, query)
    models = _installed(arguments.url)
    _say(_json(models) if arguments.json else installed_text(models))
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
    found = search(tree, models, Known.of(running=running, family=family))
    nothing = f"No installed model matches {visible(query)!r}."
    _show_rows(arguments, found, installed_text(found) if found or not query else nothing)
    return 0


async def _catalog(arguments: argparse.Namespace) -> int:
    from modelwidgets.library import load_catalog
    from modelwidgets.query import parse
    from modelwidgets.query_tree import asks_for
    from modelwidgets.search import Known
    from modelwidgets.text import catalog_text

    tree = parse(" ".join(arguments.query))
    known = None
    if asks_for(tree, "installed", "running"):
        known = Known.of(*await _beside(arguments.url))
    models = load_catalog().with_models(await _samples(arguments.url))
    found = models.search(tree, known=known)
    _show_rows(arguments, found, catalog_text(found, found.matching))
    return 0


def _show_rows(arguments: argparse.Namespace, rows: Rows[Any], text: str) -> None:
    if arguments.json:
        _say(_json(rows))
    elif arguments.csv:
        _say(rows.to_csv().replace("\r\n", "\n").rstrip("\n"))
    else:
        _say(text)
    if rows.note:
        _say(visible(rows.note), "stderr")


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


async def _show(arguments: argparse.Namespace) -> int:
    from modelwidgets.text_details import details_text, snippets_text

    async with _manager(arguments.url) as manager:
        details = await manager.details(arguments.name)
    if details.installed is None and details.catalog is None:
        raise ModelNotFoundError(
            f"{details.name} is neither installed nor in the catalog.",
            next_step="`modelwidgets list` shows what is installed.",
        )
    if arguments.code:
        found = details.snippets
        _say(_json(found) if arguments.json else snippets_text(found))
    else:
        _say(_json(details) if arguments.json else details_text(details))
    return 0


async def _fit(arguments: argparse.Namespace) -> int:
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
            _say(_json(report) if arguments.json else fit_text(report))
            return _FIT_CODE[report.verdict]
        rows = await manager.fit_table(arguments.names, options)
    _say(_json(rows) if arguments.json else fit_table_text(rows))
    return 1 if any(row.error for row in rows) else max(_FIT_CODE[row.verdict] for row in rows)


async def _remove(arguments: argparse.Namespace) -> int:
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
                    _say(f"{visible(name)} stays.", "stderr")
                    continue
                done.append(await manager.delete(name, force=arguments.force))
                if not arguments.json:
                    _say(f"{visible(name)} deleted: freed {_frees(done[-1])}.")
    except ModelWidgetsError as error:
        _say_error(error, str(error), as_json=arguments.json, deleted=done)
        return 1
    if arguments.json:
        _say(_json(done))
    return 0 if len(done) == len(plans) else 1


async def _plan(manager: Manager, name: str) -> DeletePlan:
    try:
        return await manager.plan_delete(name)
    except ModelNotFoundError as error:
        next_step = "`modelwidgets list` shows what is installed."
        raise ModelNotFoundError(error.text, next_step=next_step) from None


def _agreed(plan: DeletePlan) -> bool:
    """Ask on the terminal; the loop waits meanwhile, because nothing else is under way."""
    stays = f"; {_gb(plan.kept_bytes)} stay for {', '.join(plan.shared_with)}"
    question = f"Delete {plan.name}? It frees {_frees(plan)}{stays if plan.shared_with else ''}."
    print(visible(question), "[y/N] ", end="", file=sys.stderr, flush=True)
    # asyncio would only note an interrupt, and go on waiting for an answer
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return sys.stdin.readline().strip().lower() in ("y", "yes")
    finally:
        signal.signal(signal.SIGINT, before)


def _frees(plan: DeletePlan) -> str:
    return _gb(plan.frees_bytes) if plan.exact else f"at most {_gb(plan.frees_bytes)}"


def _gb(size_bytes: int) -> str:
    from modelwidgets.sizes import gb

    return gb(size_bytes)


async def _pull(arguments: argparse.Namespace) -> int:
    import asyncio

    from modelwidgets import names
    from modelwidgets.terminal import watch
    from modelwidgets.text import pulls_text

    for name in arguments.names:
        names.parse(name)  # before any is begun
    interrupted = False
    async with _manager(arguments.url) as manager:
        begun = [manager.pull(name, force=arguments.force) for name in arguments.names]
        pulls = list(dict.fromkeys(begun))
        try:
            await watch(pulls, quiet=arguments.json)
        except asyncio.CancelledError:
            interrupted = True
            for pull in pulls:
                pull.stop()
    ended = [pull.progress() for pull in pulls]
    done = all(one.state == "done" for one in ended)
    if arguments.json:
        _say(_json(ended))
    else:
        _say(pulls_text(ended), "stdout" if done else "stderr")
    if interrupted:
        _say("Interrupted. What was fetched is kept: pull again to go on there.", "stderr")
        return 130
    return 0 if done else 1


async def _serve(arguments: argparse.Namespace) -> int:
    from modelwidgets.serving import serve

    return await serve(
        host=arguments.host,
        port=arguments.port,
        folder=arguments.folder,
        samples=arguments.samples,
        while_stdin=arguments.while_stdin,
        as_json=arguments.json,
    )


async def _demo(arguments: argparse.Namespace) -> int:
    from modelwidgets import demo

    if arguments.once:
        return await demo.run_once(arguments.url, as_json=arguments.json)
    return await demo.open_lab(
        arguments.url, arguments.port, browser=not arguments.no_browser, as_json=arguments.json
    )


async def _doctor(arguments: argparse.Namespace) -> int:
    from modelwidgets.doctor import checks_text, examine

    checks = await examine(arguments.url)
    _say(_json(checks) if arguments.json else checks_text(checks))
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


def _json(value: Any, *, indent: int | None = 2) -> str:
    """For programs, so in plain ASCII: it is the same in every terminal and controls none."""
    return json.dumps(as_json(value), indent=indent)
