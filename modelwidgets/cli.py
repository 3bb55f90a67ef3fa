# PYTHON_ARGCOMPLETE_OK
"""Door 3: terminals.

Exit codes: 0 done, 1 failed (the reason on standard error), 2 a wrong call, 130 interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import os
import sys
from collections.abc import Coroutine, Sequence
from typing import Any

from modelwidgets.errors import ModelWidgetsError
from modelwidgets.records import PullProgress, as_json


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; gives the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a bar's blocks are in no Windows code page
    arguments = _parser().parse_args(words)
    work: Coroutine[Any, Any, int] = arguments.command(arguments)
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # the reader (`| head`) has seen enough
        sys.stderr.close()
        return 0
    except ModelWidgetsError as error:
        if arguments.json:
            print(json.dumps({"error": str(error), "kind": type(error).__name__}))
        else:
            print(error, file=sys.stderr)
        return 1


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

    listing = add("list", _list, "show the installed models")
    listing.add_argument("query", nargs="*", help="words that a model must have")
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
    for sub in (
        listing,
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
    demo.add_argument("--url", help="with --once: use this server instead of a store of its own")
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


async def _list(arguments: argparse.Namespace) -> int:
    from modelwidgets.stores.ollama import OllamaClient
    from modelwidgets.text import installed_text

    async with OllamaClient(arguments.url) as client:
        models = await client.list_models()
    if arguments.query:
        from modelwidgets.search import search

        models = search(" ".join(arguments.query), models)
    print(_json(models) if arguments.json else installed_text(models))
    return 0


async def _show(arguments: argparse.Namespace) -> int:
    from modelwidgets.text import details_text

    async with _manager(arguments.url) as manager:
        await manager.list_installed()
        details = await manager.details(arguments.name)
    if details.installed is None and details.catalog is None:
        print(f"{details.name} is neither installed nor in the catalog.", file=sys.stderr)
        return 1
    print(_json(details) if arguments.json else details_text(details))
    return 0


async def _remove(arguments: argparse.Namespace) -> int:
    async with _manager(arguments.url) as manager:
        await manager.refresh()
        await manager.list_installed()
        done = []
        for name in arguments.names:
            plan = await manager.plan_delete(name)
            if not arguments.yes and not await _agreed(plan):
                print(f"{plan.name} stays.", file=sys.stderr)
                return 1
            done.append(await manager.delete(name, force=arguments.force))
            if not arguments.json:
                print(manager.slices["notices"][0].text)
    if arguments.json:
        print(_json(done))
    return 0


async def _agreed(plan: Any) -> bool:
    from modelwidgets.text import gb

    if not sys.stdin.isatty():
        print("Not asked, because this is no terminal: add --yes.", file=sys.stderr)
        return False
    bound = "" if plan.exact else "at most "
    question = f"Delete {plan.name}? It frees {bound}{gb(plan.frees_bytes)}. [y/N] "
    return (await asyncio.to_thread(input, question)).strip().lower() in ("y", "yes")


async def _pull(arguments: argparse.Namespace) -> int:
    from modelwidgets.text import pulls_text

    async with _manager(arguments.url) as manager:
        await manager.refresh()
        pulls = [manager.pull(name, force=arguments.force) for name in arguments.names]
        live = sys.stderr.isatty() and not arguments.json
        try:
            await _watch(pulls, live=live, quiet=arguments.json)
        except asyncio.CancelledError:
            for pull in pulls:
                manager.pulls.stop(pull.id)
            raise
        ended: list[PullProgress] = [pull.progress() for pull in pulls]
    print(_json(ended) if arguments.json else pulls_text(ended))
    return 0 if all(one.state == "done" for one in ended) else 1


async def _watch(pulls: Sequence[Any], *, live: bool, quiet: bool) -> None:
    """Show a line a pull, rewritten in place on a terminal, else at most one a second."""
    import shutil

    from modelwidgets.text import pulls_text

    lines, last = 0, ""
    while True:
        ended = all(pull.outcome.done() for pull in pulls)
        width = shutil.get_terminal_size().columns if live else None
        shown = pulls_text([pull.progress() for pull in pulls], width=width)
        if live:
            sys.stderr.write(f"\x1b[{lines}F\x1b[J" * bool(lines) + shown + "\n")
            lines = shown.count("\n") + 1
        elif not quiet and shown != last:
            print(shown, file=sys.stderr)
        last = shown
        sys.stderr.flush()
        if ended:
            if live:
                sys.stderr.write(f"\x1b[{lines}F\x1b[J")
            return
        await asyncio.wait([pull.outcome for pull in pulls], timeout=0.1 if live else 1.0)


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
    return await demo.open_lab(arguments.port, browser=not arguments.no_browser)


async def _doctor(arguments: argparse.Namespace) -> int:
    from modelwidgets.doctor import checks_text, examine

    checks = await examine(arguments.url)
    print(_json(checks) if arguments.json else checks_text(checks))
    return 0 if all(check.outcome != "failed" for check in checks) else 1


@contextlib.asynccontextmanager
async def _manager(url: str | None) -> Any:
    """A manager for one command."""
    import platform

    from modelwidgets.manager import Manager
    from modelwidgets.stores.ollama import OllamaClient

    manager = Manager(OllamaClient(url), viewer=f"terminal on {platform.node()}")
    try:
        yield manager
    finally:
        await manager.close()


def _json(value: Any) -> str:
    return json.dumps(as_json(value), indent=2, ensure_ascii=False)
