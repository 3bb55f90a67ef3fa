"""How fast the views are, in a real browser, from the built bundle; and what feeds them.

Beside them, in the same page and not in a quick run, stands DataTables as itables draws a data
frame of the same 5,000 rows, all of them in a window that scrolls. Why itables: its wheel brings
the whole library, so it needs no network; ipydatagrid gets its part of the page from a Jupyter
server.
"""

from __future__ import annotations

import gzip
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, Route

from tests.bench.figures import Figure, in_turns, run_alone
from tests.bench.many_models import (
    as_itable,
    fit_card,
    installed_message,
    other_messages,
    tags_answer,
)
from tests.bench.processes import ROOT
from tests.browser.gallery import open_browser

INSTALLED, FAMILIES = 1_000, 5_000
HEIGHT_PX = 480
ADDRESS = "http://views.invalid/"
STATIC = ROOT / "modelwidgets" / "static"
SERVED = {
    "/": (Path(__file__).with_name("views.html"), "text/html"),
    "/widget.js": (STATIC / "widget.js", "text/javascript"),
    "/later.js": (STATIC / "later.js", "text/javascript"),
    "/widget.css": (STATIC / "widget.css", "text/css"),
}


Typical = Callable[[Sequence[float]], float]
"""What to make of many measurements of one thing; of a few the least, as noise only ever adds."""


def figures(*, quick: bool) -> Iterator[Figure]:
    yield from bundle()
    yield tags(times=5 if quick else 25, typical=min if quick else statistics.median)
    if quick:
        yield from views(times=3, frames=20, typical=min, side_by_side=False)
    else:
        yield from views(times=15, frames=200, typical=statistics.median, side_by_side=True)


def bundle() -> Iterator[Figure]:
    sizes = {
        name: len(gzip.compress((STATIC / name).read_bytes(), 9)) / 1e3
        for name in ("widget.js", "widget.css", "later.js")
    }
    later = sizes.pop("later.js")
    yield Figure(
        what="the page's bundle, gzipped: what arrives with the first cell",
        value=sum(sizes.values()),
        bound=45,
        unit="kB",
        against=", ".join(f"{name} {size:.1f} kB" for name, size in sizes.items()),
    )
    yield Figure(
        what="the same: what is fetched once, in an idle moment after the first paint",
        value=later,
        bound=30,
        unit="kB",
    )


def tags(*, times: int, typical: Typical) -> Figure:
    answer = tags_answer(INSTALLED)

    def cpu_of(work: Callable[[], object]) -> float:
        began = time.process_time()
        work()
        return (time.process_time() - began) * 1e3

    turns = in_turns(
        times,
        lambda: cpu_of(lambda: installed_message(answer)),
        lambda: cpu_of(lambda: json.loads(answer)),
    )
    ours, plain = map(typical, zip(*turns, strict=True))
    return Figure(
        what=f"/api/tags of {INSTALLED:,} models to the message of their rows, CPU",
        value=ours,
        bound=25,
        unit="ms",
        against=f"json.loads alone {plain:.1f} ms",
    )


def views(*, times: int, frames: int, typical: Typical, side_by_side: bool) -> Iterator[Figure]:
    installed = [installed_message(tags_answer(INSTALLED)), *other_messages(0)]
    catalog = other_messages(FAMILIES)
    with bench_page() as page:

        def ask(call: str, *arguments: Any) -> float:
            found = page.evaluate(f"(given) => bench.{call}(...given)", arguments)
            return typical(found) if isinstance(found, list) else float(found)

        def itables(call: str, *arguments: Any) -> str:
            return f"itables {ask(f'theirs.{call}', *arguments):.0f} ms" if side_by_side else ""

        yield Figure(
            what=f"{INSTALLED:,} installed models, from the bundle's arrival to painted rows",
            value=ask("firstPaint", json.dumps(installed), times),
            bound=200,
            unit="ms",
        )
        for key in ("sort", "filter"):
            yield Figure(
                what=f"{INSTALLED:,} installed models, a {key} key to its paint",
                value=ask(key, times),
                bound=50,
                unit="ms",
            )
        yield Figure(
            what="a move of the fit card's slider, script and layout",
            value=ask("slide", json.dumps(fit_card("model-0:1b")), times * 3),
            bound=16,
            unit="ms",
        )
        yield Figure(
            what=f"{FAMILIES:,} catalog rows, from the bundle's arrival to painted rows",
            value=ask("openCatalog", json.dumps(catalog)),
            bound=400,
            unit="ms",
            against=itables("open", as_itable(FAMILIES, HEIGHT_PX)) if side_by_side else "",
        )
        turns = in_turns(8, lambda: ask("scroll", frames), lambda: ask("rest", frames))
        scroll, rest = map(typical, zip(*turns, strict=True))
        yield Figure(
            what=f"{FAMILIES:,} catalog rows, 95 % of the frames of a scroll",
            value=scroll,
            bound=17,
            unit="ms",
            against=f"at rest {rest:.1f} ms {itables('scroll', frames)}".strip(),
        )
        renewed = ask("renewed", times)
        yield Figure(
            what=f"{FAMILIES:,} catalog rows, one changed row, script and layout",
            value=ask("changedRow", times * 3),
            bound=2,
            unit="ms",
            against=f"the whole catalog sent anew with one change {renewed:.0f} ms",
        )
        for key in ("sort", "filter"):
            yield Figure(
                what=f"{FAMILIES:,} catalog rows, a {key} key to its paint",
                value=ask(key, times),
                bound=100,
                unit="ms",
                against=itables(key, min(times, 5)),
            )


@contextmanager
def bench_page() -> Iterator[Page]:
    """The bench's page, which no server serves."""

    def serve(route: Route) -> None:
        path = "/" + route.request.url.removeprefix(ADDRESS).partition("?")[0]
        if path not in SERVED:
            route.fulfill(status=404)
            return
        file, kind = SERVED[path]
        route.fulfill(body=file.read_text("utf-8"), content_type=f"{kind}; charset=utf-8")

    with open_browser() as browser:
        at = browser.new_page(viewport={"width": 1600, "height": 700})
        at.route("**/*", serve)
        at.on("pageerror", lambda error: print(f"the page complains: {error}"))
        at.goto(ADDRESS)
        at.wait_for_function("window.ready")
        yield at


if __name__ == "__main__":
    run_alone(figures)
