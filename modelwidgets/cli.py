# PYTHON_ARGCOMPLETE_OK
"""Door 3: terminals.

Exit codes: 0 done, 1 failed (the reason on standard error), 2 a wrong call, 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
import traceback
import warnings
from collections.abc import Coroutine, Sequence
from typing import Any

from modelwidgets import cli_commands
from modelwidgets.cli_output import say, say_error, say_warning
from modelwidgets.errors import ModelWidgetsError, SearchError


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; gives the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a bar's blocks are in no Windows code page
    arguments = _parser().parse_args(words)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default", UserWarning)
            warnings.showwarning = say_warning
            code = _ended(arguments.command(arguments))
    except KeyboardInterrupt:
        say("Interrupted.", "stderr")
        return 130
    except SearchError as error:
        place = {"offset": error.offset, "length": error.length}
        say_error(error, str(error), as_json=arguments.json, **place)
        return 2
    except ModelWidgetsError as error:
        say_error(error, str(error), as_json=arguments.json)
    except BrokenPipeError as error:
        say_error(error, "Nobody reads any longer what is said.", as_json=False)
    except OSError as error:
        say_error(error, f"{error}.", as_json=arguments.json)
    except ImportError as error:
        text = f"This installation is not whole ({error}): install modelwidgets again."
        say_error(error, text, as_json=arguments.json)
    except Exception as error:  # noqa: BLE001 - a user can do nothing with a traceback
        at = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{os.path.basename(at.filename)}, line {at.lineno}"  # noqa: PTH119 - shorter
        text = f"A mistake of modelwidgets itself, please report it: {error!r} in {where}."
        say_error(error, text, as_json=arguments.json)
    else:
        return code
    return 1


def _ended(command: int | Coroutine[Any, Any, int]) -> int:
    """The exit code of a command, most of which need a loop to run on."""
    if isinstance(command, int):
        return command
    import asyncio

    return asyncio.run(command)


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

    listing = add("list", cli_commands.list_installed, "show the installed models")
    add_query(listing)
    browsing = add("catalog", cli_commands.list_catalog, "show the models worth knowing")
    add_query(browsing)
    pull = add("pull", cli_commands.pull, "pull models, with a bar")
    pull.add_argument("names", nargs="+", metavar="NAME")
    pull.add_argument(
        "--force",
        action="store_true",
        help="pull even where the disk seems too small, and ask nothing",
    )
    add("pulls", cli_commands.list_pulls, "show your pulls, also those of notebooks")
    stop = add("stop", cli_commands.stop_pulls, "stop pulls, also those of notebooks")
    stop.add_argument("names", nargs="+", metavar="NAME")
    remove = add("rm", cli_commands.remove, "delete models")
    remove.add_argument("names", nargs="+", metavar="NAME")
    remove.add_argument("--yes", "-y", action="store_true", help="do not ask")
    remove.add_argument("--force", action="store_true", help="also when loaded in memory")
    show = add("show", cli_commands.show, "show everything known of a model")
    show.add_argument("name", metavar="NAME")
    show.add_argument("--code", action="store_true", help="show code that uses it instead")
    fitting = add("fit", cli_commands.fit, "say whether models fit, before they are pulled")
    fitting.description = f"{fitting.description}. {cli_commands.FIT_CODES}"
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
        add("doctor", cli_commands.doctor, "say what works here, and why the rest does not"),
    ):
        add_url(sub)

    serve = add(
        "serve",
        cli_commands.serve,
        "run the embedded store, an Ollama-compatible server without Ollama",
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
    demo = add(
        "demo", cli_commands.open_demo, "open the quickstart notebook, or run it without a browser"
    )
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
