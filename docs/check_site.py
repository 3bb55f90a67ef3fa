"""Checks the built site: every link leads somewhere, and nothing is fetched from elsewhere.

    python docs/check_site.py SITE

Links to other sites are not asked, only read: whether they are up says nothing about this project.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LINKS = {"a": "href", "area": "href"}
LOADS = {"script": "src", "img": "src", "iframe": "src", "source": "src", "use": "href"}
LOADED_RELATIONS = {"stylesheet", "icon", "preload", "preconnect", "modulepreload"}
FETCHED_BY_CSS = re.compile(r"""(?:@import\s+|url\()\s*["']?((?:https?:)?//[^"')\s]+)""")
FETCHED_BY_SCRIPT = re.compile(r"""(?:\bimport\(|\bfrom\s|\.src\s*=)\s*["'](https?://[^"']+)""")


class Page(HTMLParser):
    """What a page links to, loads, and can be linked to by."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors = {"", "top"}
        self.links: list[str] = []
        self.loads: list[str] = []
        self._inside = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self._inside = tag
        self.anchors.update(found[name] for name in ("id", "name") if name in found)
        if tag in LINKS and LINKS[tag] in found:
            self.links.append(found[LINKS[tag]])
        if tag in LOADS and LOADS[tag] in found:
            self.loads.append(found[LOADS[tag]])
        if tag == "link" and LOADED_RELATIONS & set(found.get("rel", "").split()):
            self.loads.append(found.get("href", ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == self._inside:
            self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "style":
            self.loads += FETCHED_BY_CSS.findall(data)
        elif self._inside == "script":
            self.loads += FETCHED_BY_SCRIPT.findall(data)


def problems(site: Path) -> Iterator[str]:
    """What is wrong, a line each."""
    pages = {path: Page(path) for path in sorted(site.rglob("*.html"))}
    if not pages:
        yield f"{site}: there is no page"
    for path, page in pages.items():
        for link in page.links + page.loads:
            if why := wrong(link, path, pages, site):
                yield f"{path.relative_to(site)}: {link}: {why}"
        for link in page.loads:
            if urlsplit(link).netloc:
                yield f"{path.relative_to(site)}: {link}: it is fetched from elsewhere"
    for path in sorted(site.rglob("*.css")):
        for link in FETCHED_BY_CSS.findall(path.read_text(encoding="utf-8")):
            yield f"{path.relative_to(site)}: {link}: it is fetched from elsewhere"


def wrong(link: str, path: Path, pages: dict[Path, Page], site: Path) -> str | None:
    """Why a link leads nowhere."""
    try:
        parts = urlsplit(link)
    except ValueError as error:
        return str(error)
    if parts.scheme in ("http", "https"):
        return None if parts.hostname and " " not in link else "it has no host"
    if parts.scheme in ("data", "mailto"):
        return None
    if parts.scheme or parts.netloc:
        return "it is no address for a page"
    target = path
    if parts.path:
        start = site if parts.path.startswith("/") else path.parent
        target = (start / unquote(parts.path).lstrip("/")).resolve()
        target = target / "index.html" if target.is_dir() else target
    if not target.is_file():
        return "there is no such file"
    if target in pages and unquote(parts.fragment) not in pages[target].anchors:
        return "there is no such place on the page"
    return None


def main() -> int:
    if len(sys.argv) != 2:
        sys.exit("usage: python docs/check_site.py SITE")
    site = Path(sys.argv[1]).resolve()
    found = list(problems(site))
    count = len(list(site.rglob("*.html")))
    print("\n".join(found) or f"{count} pages of the site: every link leads somewhere.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
