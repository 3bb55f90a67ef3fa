"""What a terminal shows, and what stays in a notebook that is read without a kernel."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from modelwidgets.records import CatalogModel, InstalledSlice
from modelwidgets.tables import display_width
from modelwidgets.text import (
    catalog_text,
    installed_html,
    installed_text,
    pulls_html,
    pulls_text,
    status_text,
)
from tests.text_records import CLOUD, GEMMA, HOSTILE, HOSTILE_LINE, LLAMA, NOW, PULL, SERVICE, TAG

# Installed models


def test_installed_models() -> None:
    """A line a model; a model in the cloud takes no disk, and an absent date stays empty."""
    text = installed_text([LLAMA, CLOUD], now=NOW)

    assert text.splitlines() == [
        "NAME                 PARAMETERS   QUANTIZATION     SIZE   MODIFIED",
        "llama3.2:3b               3.2 B   Q4_K_M         2.0 GB   2 h ago",
        "gpt-oss:120b-cloud       116.8B   MXFP4           cloud",
    ]


def test_no_installed_models() -> None:
    """An empty list says what to do next."""
    assert installed_text([]) == "No models to show. Pull one: `modelwidgets pull NAME`."


def test_names_are_never_cut() -> None:
    """The longest name that can be is shown whole, because it is there to be copied."""
    name = f"{'h' * 350}/{'n' * 80}/{'m' * 80}:{'t' * 80}"

    assert name in installed_text([replace(LLAMA, name=name)], now=NOW)


def test_installed_models_of_a_hostile_server() -> None:
    """Whatever a server writes into its list stays one harmless line."""
    model = replace(
        LLAMA,
        name=HOSTILE,
        quantization=HOSTILE,
        parameters=None,
        parameter_size=HOSTILE,
    )

    text = installed_text([model], now=NOW)

    assert len(text.splitlines()) == 2
    assert HOSTILE_LINE in text
    assert text.replace("\n", "").isprintable()


def installed(**changes: Any) -> InstalledSlice:
    slice_ = InstalledSlice(models=(LLAMA,), as_of=NOW, stale=None, deleting=())
    return replace(slice_, **changes)


def test_saved_list_tells_its_age_and_server() -> None:
    """A page without a kernel says of which moment and server it is, in dates that stay true."""
    page = installed_html(installed(), SERVICE)

    assert "Installed models on http://localhost:11434, as of 2026-03-01 12:03 UTC" in page
    assert ">2026-03-01 10:03 UTC</td>" in page
    assert "ago" not in page
    assert page.startswith("<table>")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"as_of": None, "models": ()}, "were not listed yet"),
        ({"models": ()}, "as of 2026-03-01 12:03 UTC: none."),
        ({"stale": "The server <hangs>."}, "<p>The server &lt;hangs&gt;.</p>"),
        ({"models": (), "stale": "It hangs."}, "<p>It hangs.</p>"),
    ],
)
def test_saved_list_in_other_states(changes: dict[str, Any], words: str) -> None:
    """A list that is empty, old or was never read says so."""
    assert words in installed_html(installed(**changes), SERVICE)


def test_saved_list_without_a_server() -> None:
    """The list can be saved before the server was asked how it is."""
    page = installed_html(installed(), None)

    assert "Installed models, as of 2026-03-01 12:03 UTC" in page


def test_saved_list_keeps_no_password() -> None:
    """A password in the address stays out of the notebook, and of the terminal."""
    service = replace(SERVICE, url="https://me:s3cret@ollama.example:443")

    page = installed_html(installed(), service)
    text = status_text(service, None, None)

    assert "s3cret" not in page + text
    assert "https://ollama.example:443" in page
    assert "https://ollama.example:443" in text


def test_saved_list_of_a_hostile_server() -> None:
    """A saved page holds no element, direction or control that a server wrote."""
    model = replace(
        LLAMA, name=HOSTILE, quantization=HOSTILE, parameters=None, parameter_size=HOSTILE
    )
    service = replace(SERVICE, url=f"http://{HOSTILE}")

    page = installed_html(installed(models=(model,), stale=HOSTILE), service)

    assert "<img" not in page
    assert page.count("&lt;img src=x onerror=alert(1)&gt;\\u202e second\\x00") == 5
    assert page.isprintable()


# Catalog


def test_catalog() -> None:
    """A line a family: three of its sizes, the recommended tag and what it would fetch."""
    tags = tuple(
        replace(TAG, tag=tag, parameters=size, recommended=tag == "12b")
        for tag, size in (("1b", "1B"), ("1b-q8", "1B"), ("4b", "4.3B"), ("12b", "12.2B"))
    )
    tags += (replace(TAG, tag="27b", parameters=None, recommended=False),)

    text = catalog_text([replace(GEMMA, tags=tags)])

    assert text.splitlines() == [
        "NAME     SIZES              RECOMMENDED   DOWNLOAD   CATEGORY   DESCRIPTION",
        "gemma3   1B 4.3B 12.2B +1   12b             8.1 GB   vision     Open multimodal models",
    ]


@pytest.mark.parametrize(
    ("changes", "tag_changes", "words"),
    [
        ({}, {"size_exact": False}, "about 8.1 GB"),
        ({"custom": True}, {}, "(own entry) Open"),
        ({"custom": True, "unchecked": True}, {}, "(own entry, unchecked) Open"),
        ({"description": "long " * 40}, {}, "long long…"),
    ],
)
def test_catalog_entries_that_need_a_word(
    changes: dict[str, Any], tag_changes: dict[str, Any], words: str
) -> None:
    """A size that is not exact, an own entry and a cut description are marked."""
    text = catalog_text([replace(GEMMA, tags=(replace(TAG, **tag_changes),), **changes)])

    assert words in text


@pytest.mark.parametrize(
    "model",
    [
        replace(GEMMA, tags=(), recommended_tag=None),
        replace(GEMMA, recommended_tag="gone"),
        replace(GEMMA, tags=(replace(TAG, size_bytes=None),)),
    ],
)
def test_catalog_entry_without_a_size(model: CatalogModel) -> None:
    """Where the size is not known, none is shown."""
    text = catalog_text([model])

    assert "GB" not in text
    assert text.count("\n") == 1


def test_empty_catalog_selection() -> None:
    """A search without a hit says so."""
    assert catalog_text([]) == "Nothing in the catalog matches."


def test_hostile_catalog_entry() -> None:
    """A user's catalog file can hold anything; it stays one line a family."""
    tag = replace(TAG, tag=HOSTILE, parameters=HOSTILE)
    model = replace(
        GEMMA,
        name=HOSTILE,
        description=HOSTILE,
        category=HOSTILE,
        recommended_tag=HOSTILE,
        tags=(tag,),
    )

    text = catalog_text([model])

    assert len(text.splitlines()) == 2
    assert text.replace("\n", "").isprintable()


# Pulls


def test_pulls() -> None:
    """A line a pull: state, bar, bytes, percent, speed and time left, as far as known."""
    waiting = replace(
        PULL,
        name="phi4:8b",
        state="queued",
        phase="queued",
        position=1,
        total_bytes=None,
        completed_bytes=0,
        bytes_per_second=None,
        eta_seconds=None,
    )

    text = pulls_text([replace(PULL, name="gemma3"), waiting])

    assert text.splitlines() == [
        "NAME      STATE             PROGRESS                        SIZE       %     SPEED   LEFT",
        "gemma3    downloading       ▓▓▓▓▓▓▓▓▓▓▓░░░░░░░░░   4.7 of 8.1 GB   58.0%   58 MB/s   59 s",
        "phi4:8b   queued, place 1",
    ]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"phase": "stalled", "bytes_per_second": 0.0, "eta_seconds": None}, "stalled"),
        ({"phase": "retrying"}, "retrying"),
        ({"total_bytes": None, "eta_seconds": None}, "4.7 GB"),
        ({"total_bytes": 0, "completed_bytes": 0}, "100.0%"),
        ({"state": "queued", "position": None}, "queued"),
        ({"state": "interrupted"}, "interrupted"),
    ],
)
def test_pull_in_each_state(changes: dict[str, Any], words: str) -> None:
    """The state is told in words, and a pull of unknown size by its bytes."""
    assert words in pulls_text([replace(PULL, **changes)])


def test_ended_pulls_say_how_they_ended() -> None:
    """The server's error is shown whole below the table; so is how a done pull was checked."""
    failed = replace(PULL, state="failed", error="pull model manifest: 412\nUpdate Ollama.")
    done = replace(
        PULL, state="done", completed_bytes=8_100_000_000, proof="listed with its digest"
    )

    text = pulls_text([failed, done])

    _, one, two, *notes = text.splitlines()
    assert "failed" in one
    assert "100.0%" in two
    assert "MB/s" not in text
    assert notes == [
        "gemma3:12b: pull model manifest: 412",
        "  Update Ollama.",
        "gemma3:12b: listed with its digest",
    ]


@pytest.mark.parametrize("width", [120, 100, 80, 60])
@pytest.mark.parametrize("name", ["a:b", "hf.co/bartowski/Llama-3.2-3B-Instruct-GGUF:Q4_K_M"])
def test_pulls_on_a_narrow_terminal(name: str, width: int) -> None:
    """No line is longer than the terminal, and the numbers stay: the bar goes, then the name."""
    failed = replace(PULL, name=name, state="failed", error="x" * 300)

    text = pulls_text([replace(PULL, name=name), failed], width=width)

    assert max(map(display_width, text.splitlines())) <= width
    if width >= 80:
        assert "58.0%   58 MB/s   59 s" in text
    assert ("▓" in text) == (len(name) + 79 <= width)


def test_no_pulls() -> None:
    """No pulls are said, in text and on the saved page."""
    assert pulls_text([]) == "No pulls."
    assert pulls_html([], now=NOW) == "<p>No pulls, as of 2026-03-01 12:03 UTC.</p>"


def test_saved_pulls() -> None:
    """The saved page tells of which moment the numbers are, and the note of each pull."""
    failed = replace(PULL, name="qwen3:8b", state="failed", error="disk <full>")

    page = pulls_html([PULL, failed], now=NOW)

    assert "Pulls, as of 2026-03-01 12:03 UTC" in page
    assert ">4.7 of 8.1 GB</td>" in page
    assert ">disk &lt;full&gt;</td>" in page
    assert "▓" not in page


def test_hostile_pull() -> None:
    """Name and error of a pull come from strangers and stay words."""
    pull = replace(PULL, name=HOSTILE, state="failed", error=HOSTILE)

    text = pulls_text([pull])
    page = pulls_html([pull], now=NOW)

    assert text.splitlines()[2:] == [
        f"{HOSTILE_LINE}: <img src=x onerror=alert(1)>\\u202e",
        "  second\\x00",
    ]
    assert text.replace("\n", "").isprintable()
    assert "<img" not in page
    assert page.isprintable()
