"""The check of the built site finds links to nowhere, and what would be fetched from elsewhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = """<!doctype html>
<link rel="stylesheet" href="site.css">
<link rel="stylesheet" href="https://fonts.example/one.css">
<link rel="canonical" href="https://example.org/page.html">
<h1 id="a-title">Title</h1>
<a href="#a-title">here</a> <a href="#gone">gone</a>
<a href="parts/other.html#its-part">there</a> <a href="parts/other.html#no-part">no part</a>
<a href="parts/">the folder</a> <a href="missing.html">missing</a>
<a href="https://example.org/">outside</a> <a href="https:///page">no host</a>
<a href="javascript:alert(1)">script</a> <a href="mailto:ada@example.org">mail</a>
<img src="missing.png" alt="missing"> <img src="https://pictures.example/one.png" alt="outside">
<script>import("https://scripts.example/one.js")</script>
<script>const about = "https://example.org/is-only-named"</script>
"""


def check(site: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "docs" / "check_site.py"), str(site)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_all_that_is_wrong_with_a_site_is_found_and_nothing_else(tmp_path: Path) -> None:
    """Links, anchors, pictures and styles are each named once where they lead nowhere."""
    (tmp_path / "parts").mkdir()
    for name in ("other.html", "index.html"):
        (tmp_path / "parts" / name).write_text('<p id="its-part">Part</p>')
    (tmp_path / "site.css").write_text("@import url(//styles.example/two.css); a { color: red }")
    (tmp_path / "page.html").write_text(PAGE)

    done = check(tmp_path)

    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "page.html: #gone: there is no such place on the page",
        "page.html: parts/other.html#no-part: there is no such place on the page",
        "page.html: missing.html: there is no such file",
        "page.html: https:///page: it has no host",
        "page.html: javascript:alert(1): it is no address for a page",
        "page.html: missing.png: there is no such file",
        "page.html: https://fonts.example/one.css: it is fetched from elsewhere",
        "page.html: https://pictures.example/one.png: it is fetched from elsewhere",
        "page.html: https://scripts.example/one.js: it is fetched from elsewhere",
        "site.css: //styles.example/two.css: it is fetched from elsewhere",
    ]


def test_a_site_without_pages_is_no_site(tmp_path: Path) -> None:
    """A build that made nothing does not pass as one without broken links."""
    done = check(tmp_path)

    assert done.returncode == 1
    assert "there is no page" in done.stdout
