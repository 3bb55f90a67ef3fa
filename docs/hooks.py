"""What the site has that does not lie in this folder, and what it leaves out."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
MADE = ROOT / ".cache" / "docs"
"""Where `make docs` puts the pictures and the notebook with its outputs."""
FROM_ROOT = {"changelog.md": ROOT / "CHANGELOG.md", "development.md": ROOT / "CONTRIBUTING.md"}
PICTURE = re.compile(r"(!\[[^\]]*\]\([^)]*pictures)/([\w-]+\.png)\)")
HELP = re.compile(r"^\{\{ modelwidgets (\w+) --help \}\}$", re.MULTILINE)
ERROR = re.compile(r"<code>(\w+Error)</code>")
FETCHING = re.compile(
    r"<script\b(?:(?!</script>).)*?https?://(?:(?!</script>).)*</script>", re.DOTALL
)


@event_priority(100)  # before the plugin for notebooks looks through the files
def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the texts of the project's root, and what was made."""
    for uri, path in FROM_ROOT.items():
        files.append(File.generated(config, uri, abs_src_path=str(path)))
    for path in sorted(MADE.rglob("*.*")):
        uri = path.relative_to(MADE).as_posix()
        files.append(
            File(uri, str(MADE), config.site_dir, use_directory_urls=config.use_directory_urls)
        )
    return files


def on_page_markdown(markdown: str, *, page: Page, **_known: object) -> str:
    """Let the root's texts link to pages, show pictures in both themes, ask commands for help."""
    if page.file.src_uri in FROM_ROOT:
        markdown = markdown.replace("](docs/", "](").replace("](CHANGELOG.md", "](changelog.md")
    markdown = HELP.sub(lambda found: _help_text(found[1]), markdown)
    return PICTURE.sub(
        r"\1/light/\2#only-light){ loading=lazy }\n\1/dark/\2#only-dark){ loading=lazy }", markdown
    )


def on_page_content(html: str, *, page: Page, **_known: object) -> str:
    """Leave out what a notebook would fetch; link the errors that the reference names."""
    if page.file.src_uri.endswith(".ipynb"):
        return FETCHING.sub("", html)
    if page.file.src_uri.startswith("reference/"):
        return ERROR.sub(_link_to_entry, html)
    return html


def _link_to_entry(found: re.Match[str]) -> str:
    """To what Troubleshooting says of an error."""
    if f"### {found[1]}\n" not in (ROOT / "docs" / "troubleshooting.md").read_text("utf-8"):
        return found[0]
    return f'<a href="../troubleshooting.html#{found[1].lower()}">{found[0]}</a>'


def _help_text(command: str) -> str:
    """What a command says of itself, as a block."""
    words = [sys.executable, "-m", "modelwidgets", command, "--help"]
    said = subprocess.run(
        words, env={**os.environ, "COLUMNS": "80"}, capture_output=True, text=True, check=True
    )
    return f"```text\n{said.stdout.strip()}\n```"
