"""Checks that what the project's pages point to exists: links, files, commands.

    python docs/check_links.py [PAGE ...]      all pages of the project where none is named

Links to other sites are not asked: whether they are up says nothing about this project.
"""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Container, Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)|(?:src|href)=\"([^\"]+)\"")
FENCE = re.compile(r"^(```+|~~~+).*?^\1\s*$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
MADE = re.compile(r"(?:\.\./)*(?:pictures/|quickstart\.ipynb$)")
"""What the site gets only when it is built; `check_site.py` looks for these there."""
HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)


def pages() -> list[Path]:
    """Everything that a reader of the project may open."""
    patterns = ("*.md", "docs/**/*.md", "notebooks/**/*.ipynb")
    return sorted(path for pattern in patterns for path in ROOT.glob(pattern))


def problems(page: Path) -> Iterator[str]:
    """What `page` names that does not exist."""
    text = read(page)
    for link in links(text):
        if why := broken_link(page, link):
            yield f"{link}: {why}"
    for code in codes(text):
        for pattern, known, why in COMMANDS:
            for word in pattern.findall(code):
                if word not in known():
                    yield f"`{code.strip()}`: {why.format(word)}"
    for code in INLINE.findall(FENCE.sub("", text)):
        if is_project_path(code) and not (ROOT / code).exists():
            yield f"`{code}`: there is no such file"


def read(page: Path) -> str:
    """The text of a page; of a notebook, its cells as a page would have them."""
    text = page.read_text(encoding="utf-8")
    if page.suffix != ".ipynb":
        return text
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(text)["cells"]]
    return "\n\n".join(source for kind, source in cells if kind == "markdown")


def links(text: str) -> Iterator[str]:
    for markdown, html in LINK.findall(INLINE.sub("", FENCE.sub("", text))):
        yield markdown or html


def codes(text: str) -> Iterator[str]:
    """Each line of code: fenced, or inside a sentence."""
    for block in FENCE.finditer(text):
        yield from block[0].splitlines()[1:-1]
    yield from INLINE.findall(FENCE.sub("", text))


def broken_link(page: Path, link: str) -> str | None:
    if re.match(r"[a-z][a-z0-9+.-]*:", link) or MADE.match(link):
        return None
    path, _, anchor = link.partition("#")
    target = (page.parent / unquote(path)).resolve() if path else page
    if not target.exists():
        return "there is no such file"
    if anchor and target.suffix == ".md" and anchor not in anchors(read(target)):
        return "there is no such heading"
    return None


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as code hosting sites make them."""
    titles = HEADING.findall(FENCE.sub("", text))
    plain = [re.sub(r"[^\w\- ]", "", title.lower()) for title in titles]
    return {title.replace(" ", "-") for title in plain}


def is_project_path(code: str) -> bool:
    first, slash, rest = code.partition("/")
    named = bool(slash and rest) and not re.search(r"[\s*<>{}()$|]|\.\.\.", code)
    return named and first in {path.name for path in ROOT.iterdir() if path.is_dir()} - IGNORED


IGNORED = {".git", ".venv", ".cache", "artifacts", "build", "dist", "site"}


# What the commands know


@cache
def make_targets() -> set[str]:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z][\w-]*):", text, re.MULTILINE))


class Subcommands:
    """The commands that `modelwidgets` knows."""

    def __contains__(self, name: str) -> bool:
        return is_subcommand(name)


@cache
def is_subcommand(name: str) -> bool:
    command = [sys.executable, "-m", "modelwidgets", name, "--help"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 0


@cache
def npm_scripts() -> set[str]:
    package = ROOT / "modelwidgets" / "frontend" / "package.json"
    return set(json.loads(package.read_text(encoding="utf-8"))["scripts"])


@cache
def extras() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return set(project["optional-dependencies"])


class Modules:
    """The modules that Python finds here."""

    def __contains__(self, name: str) -> bool:
        return importlib.util.find_spec(name) is not None


COMMANDS: tuple[tuple[re.Pattern[str], Callable[[], Container[str]], str], ...] = (
    (re.compile(r"(?:^|[\s;&|])make ([a-z][\w-]*)"), make_targets, "the Makefile has no target {}"),
    (
        re.compile(r"(?:^\s*|[;&|$]\s*|-m )modelwidgets ([a-z][\w-]*)"),
        Subcommands,
        "modelwidgets has no command {}",
    ),
    (re.compile(r"\bnpm run ([\w:-]+)"), npm_scripts, "package.json has no script {}"),
    (re.compile(r"(?:modelwidgets|\.)\[([a-z]+)\]"), extras, "there is no extra {}"),
    (re.compile(r"\bpython -m ([\w.]+)"), Modules, "there is no module {}"),
)


def main() -> int:
    sys.path.insert(0, str(ROOT))
    named = [Path(name).resolve() for name in sys.argv[1:]] or pages()
    found = [f"{page}: {problem}" for page in named for problem in problems(page)]
    print("\n".join(found) or f"{len(named)} pages: every link, file and command exists.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
