"""What a terminal shows, and what stays in a notebook that is read without a kernel."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from modelwidgets.records import (
    CatalogModel,
    CatalogTag,
    DeletePlan,
    Devices,
    DiskUsage,
    Gpu,
    InstalledModel,
    InstalledSlice,
    Layer,
    Manifest,
    ModelDetails,
    ModelInfo,
    PullProgress,
    ServiceStatus,
)
from modelwidgets.tables import display_width
from modelwidgets.text import (
    ago,
    catalog_text,
    details_text,
    duration,
    gb,
    gb_of,
    gib,
    installed_html,
    installed_text,
    moment,
    parameters,
    percent,
    pulls_html,
    pulls_text,
    status_text,
)

NOW = datetime(2026, 3, 1, 12, 3, 20, tzinfo=UTC)
GIB = 2**30
HOSTILE = "<img src=x onerror=alert(1)>\x1b[2J\u202e\nsecond\x00"
HOSTILE_LINE = "<img src=x onerror=alert(1)>\\u202e second\\x00"

LLAMA = InstalledModel(
    name="llama3.2:3b",
    digest="a80c4f17acd55265feec403c7aef86be0c25983ab279d83f3bcd3abbcb5b8b72",
    size_bytes=2_019_393_189,
    modified_at=NOW - timedelta(hours=2),
    format="gguf",
    family="llama",
    families=("llama",),
    parameter_size="3.2B",
    parameters=3_212_749_888,
    quantization="Q4_K_M",
    max_context_length=131_072,
    embedding_length=3072,
    capabilities=("completion", "tools"),
    remote_model=None,
    remote_host=None,
)
CLOUD = replace(
    LLAMA,
    name="gpt-oss:120b-cloud",
    size_bytes=384,
    modified_at=None,
    parameters=None,
    parameter_size="116.8B",
    quantization="MXFP4",
    remote_model="gpt-oss:120b",
    remote_host="https://ollama.com",
)
SERVICE = ServiceStatus(
    state="running",
    reason=None,
    url="http://localhost:11434",
    version="0.33.0",
    kind="ollama",
    local=True,
    old=None,
    sample_registry=None,
    viewer="kernel on lab7",
    checked_at=NOW,
)
GPU = Gpu(
    index=0,
    name="NVIDIA GeForce RTX 4090",
    uuid=None,
    total_bytes=24 * GIB,
    free_bytes=int(6.1 * GIB),
    unified=False,
    error=None,
)
DEVICES = Devices(
    gpus=(GPU,),
    driver="580.65.06",
    reason=None,
    ram_total_bytes=64 * GIB,
    ram_available_bytes=48 * GIB,
)
DISK = DiskUsage(
    used_bytes=41_300_000_000,
    exact=True,
    partial_bytes=0,
    free_bytes=312_000_000_000,
    path="/models",
)
PULL = PullProgress(
    id="1",
    name="gemma3:12b",
    url="http://localhost:11434",
    state="running",
    phase="downloading",
    status="downloading",
    total_bytes=8_100_000_000,
    completed_bytes=4_700_000_000,
    bytes_per_second=58_000_000.0,
    eta_seconds=58.6,
    position=None,
    error=None,
    error_kind=None,
    digest=None,
    proof=None,
    plan=None,
    created_at=NOW,
    started_at=NOW,
    ended_at=None,
)
TAG = CatalogTag(
    tag="12b",
    name="gemma3:12b",
    size_bytes=8_149_190_253,
    size_exact=True,
    parameters="12.2B",
    quantization="Q4_K_M",
    context_length=131_072,
    digest=None,
    architecture=None,
    recommended=True,
)
GEMMA = CatalogModel(
    name="gemma3",
    description="Open multimodal models for one GPU",
    publisher="Google",
    category="vision",
    categories=("vision", "chat"),
    capabilities=("vision",),
    license="Gemma",
    pulls=30_000_000,
    updated="2025-12",
    recommended_tag="12b",
    tags=(TAG,),
    custom=False,
    unchecked=False,
)


# Numbers and times


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (None, "unknown"),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (9_940, "9.9 kB"),
        (274_302_450, "274 MB"),
        (999_499_999, "999 MB"),
        (999_500_000, "1.0 GB"),
        (2_019_393_189, "2.0 GB"),
        (41_300_000_000, "41.3 GB"),
        (99_940_000_000, "99.9 GB"),
        (312_000_000_000, "312 GB"),
        (1_820_000_000_000, "1.8 TB"),
    ],
)
def test_sizes_on_disk(size_bytes: int | None, text: str) -> None:
    """Disk and downloads read in powers of 1000; a size that is not known is not zero."""
    assert gb(size_bytes) == text


def test_progress_is_told_in_the_unit_of_the_whole() -> None:
    """Two sizes compare at a glance; without a total only the first is told."""
    assert gb_of(4_700_000_000, 8_100_000_000) == "4.7 of 8.1 GB"
    assert gb_of(50_000_000, 8_100_000_000) == "0.1 of 8.1 GB"
    assert gb_of(0, 0) == "0 of 0 B"
    assert gb_of(50_000_000, None) == "50 MB"


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (None, "unknown"),
        (0, "0.0 GiB"),
        (GIB // 2, "0.5 GiB"),
        (24 * GIB, "24.0 GiB"),
        (24_000_000_000, "22.4 GiB"),
        (512 * GIB, "512 GiB"),
    ],
)
def test_sizes_in_memory(size_bytes: int | None, text: str) -> None:
    """Memory reads in powers of 1024."""
    assert gib(size_bytes) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, ""),
        (0, "0"),
        (900, "900"),
        (22_700_000, "22.7 M"),
        (136_727_040, "137 M"),
        (960_000_000, "960 M"),
        (999_900_000, "1 B"),
        (3_212_749_888, "3.2 B"),
        (7_000_000_000, "7 B"),
        (671_026_419_200, "671 B"),
        (1_026_000_000_000, "1 T"),
    ],
)
def test_numbers_of_weights(count: int | None, text: str) -> None:
    """Parameters read as model makers write them."""
    assert parameters(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (-3, "0 s"),
        (0.4, "0 s"),
        (58.6, "59 s"),
        (200, "3 min 20 s"),
        (3599.7, "1 h 0 min"),
        (7500, "2 h 5 min"),
        (47 * 3600, "47 h 0 min"),
        (72 * 3600, "3 days"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    """Two units at the most say how long."""
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("past", "text"),
    [
        (timedelta(seconds=-5), "just now"),
        (timedelta(seconds=59), "just now"),
        (timedelta(seconds=60), "1 min ago"),
        (timedelta(minutes=59, seconds=59), "59 min ago"),
        (timedelta(hours=2, minutes=50), "2 h ago"),
        (timedelta(days=3), "3 d ago"),
        (timedelta(days=60), "60 d ago"),
        (timedelta(days=61), "2 months ago"),
        (timedelta(days=730), "23 months ago"),
        (timedelta(days=1200), "3 years ago"),
        (timedelta(days=-400), "2027-04-05 12:03 UTC"),
    ],
)
def test_how_long_ago(past: timedelta, text: str) -> None:
    """One unit says how long ago; a clock that is far ahead is shown as what it says."""
    assert ago(NOW - past, NOW) == text


def test_dates_read_the_same_everywhere() -> None:
    """A saved page tells UTC, whatever zone the server lives in, to the last date there is."""
    berlin = timezone(timedelta(hours=1))

    assert moment(NOW.astimezone(berlin)) == "2026-03-01 12:03 UTC"
    assert ago(NOW.astimezone(berlin), NOW) == "just now"
    assert moment(None) == ago(None, NOW) == ""
    assert (
        moment(datetime(9999, 12, 31, 23, 59, tzinfo=timezone(timedelta(hours=-12))))
        == "9999-12-31 23:59 -1200"
    )


@pytest.mark.parametrize(
    ("part", "total", "text"),
    [
        (0, 10, "0.0%"),
        (4_700, 8_100, "58.0%"),
        (10**18 - 1, 10**18, "99.9%"),
        (10, 10, "100.0%"),
        (11, 10, "100.0%"),
        (0, 0, "100.0%"),
    ],
)
def test_percent_never_promises_more(part: int, total: int, text: str) -> None:
    """100.0% stands for everything and nothing less."""
    assert percent(part, total) == text


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
        "gemma3   1B 4.3B 12.2B +1   12b             8.1 GB   vision     "
        "Open multimodal models for one GPU",
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
    """A line a pull: state, bar, bytes, percent, speed and time left, each only where it is known."""
    waiting = replace(
        PULL,
        name="qwen3:8b",
        state="queued",
        phase="queued",
        position=1,
        total_bytes=None,
        completed_bytes=0,
        bytes_per_second=None,
        eta_seconds=None,
    )

    text = pulls_text([PULL, waiting])

    assert text.splitlines() == [
        "NAME         STATE             PROGRESS                        SIZE       %     SPEED   LEFT",
        "gemma3:12b   downloading       ▓▓▓▓▓▓▓▓▓▓▓░░░░░░░░░   4.7 of 8.1 GB   58.0%   58 MB/s   59 s",
        "qwen3:8b     queued, place 1",
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


# The machine and one model


def test_status() -> None:
    """Server, GPU, RAM and disk, a line each."""
    assert status_text(SERVICE, DEVICES, DISK).splitlines() == [
        "Ollama 0.33.0 running at http://localhost:11434 (kernel on lab7)",
        "GPU   NVIDIA GeForce RTX 4090: 6.1 GiB of 24.0 GiB free",
        "RAM   48.0 GiB of 64.0 GiB available",
        "Disk  41.3 GB used, 312 GB free in /models",
    ]


def test_status_before_anything_was_asked() -> None:
    """What is not known yet is left out."""
    assert status_text(None, None, None) == "The server was not asked yet."


def test_status_of_a_stopped_server() -> None:
    """A server that does not run says why and what to do; so does one that is old or a stand-in."""
    service = replace(
        SERVICE,
        state="stopped",
        kind="unknown",
        version=None,
        reason="Nothing answers. Start it with `ollama serve`.",
        old="Older than 0.19: digests are not checked.",
        sample_registry="127.0.0.1:5000",
    )

    assert status_text(service, None, None).splitlines() == [
        "Server stopped at http://localhost:11434 (kernel on lab7)",
        "Nothing answers. Start it with `ollama serve`.",
        "Older than 0.19: digests are not checked.",
        "The sample registry on this machine stands in for the real one.",
    ]


@pytest.mark.parametrize(
    ("gpu", "line"),
    [
        (
            replace(GPU, name="Apple M2 Max", unified=True, assumed=True),
            "Apple M2 Max: 6.1 GiB of about 24.0 GiB free, shared with the CPU",
        ),
        (
            replace(GPU, free_bytes=None, error="the driver has not answered yet"),
            "NVIDIA GeForce RTX 4090: 24.0 GiB, the driver has not answered yet",
        ),
        (
            replace(GPU, total_bytes=None, free_bytes=None, error="this GPU is lost"),
            "NVIDIA GeForce RTX 4090: this GPU is lost",
        ),
        (
            replace(GPU, total_bytes=None, free_bytes=None),
            "NVIDIA GeForce RTX 4090: free memory unknown",
        ),
    ],
)
def test_gpus_in_each_state(gpu: Gpu, line: str) -> None:
    """A GPU that shares memory, is estimated or cannot be asked says so."""
    text = status_text(SERVICE, replace(DEVICES, gpus=(gpu,)), None)

    assert f"GPU   {line}" in text.splitlines()


def test_status_without_gpu_and_with_a_guessed_disk() -> None:
    """Why there is no GPU is told, and a size that is only a bound is marked."""
    devices = replace(DEVICES, gpus=(), reason="no NVIDIA driver here")
    disk = replace(DISK, exact=False, partial_bytes=1_200_000_000, free_bytes=None, path=None)

    lines = status_text(SERVICE, devices, disk).splitlines()

    assert "GPU   no NVIDIA driver here" in lines
    assert "Disk  at most 41.3 GB used, 1.2 GB of unfinished downloads" in lines


def test_hostile_status() -> None:
    """What answers at the address may say anything; it stays a line."""
    service = replace(SERVICE, version=HOSTILE, reason=HOSTILE, viewer=HOSTILE)
    devices = replace(DEVICES, gpus=(replace(GPU, name=HOSTILE),), reason=HOSTILE)

    text = status_text(service, devices, replace(DISK, path=HOSTILE))

    assert len(text.splitlines()) == 6
    assert text.replace("\n", "").isprintable()


def info(**changes: Any) -> ModelInfo:
    known = ModelInfo(
        name="llama3.2:3b",
        license="LLAMA 3.2 COMMUNITY LICENSE\n" + "word\n" * 30,
        modelfile="",
        parameters_text='stop    "<|eot_id|>"',
        template="{{ if .System }}\n  {{ .System }}\n{{ end }}",
        system="",
        format="gguf",
        family="llama",
        families=("llama", "clip"),
        parameter_size="3.2B",
        parameters=3_212_749_888,
        quantization="Q4_K_M",
        capabilities=("completion", "tools"),
        max_context_length=131_072,
        embedding_length=3072,
        requires="0.19.0",
        modified_at=NOW,
        remote_model=None,
        remote_host=None,
        model_info={},
        projector_info={},
        tensors=(),
    )
    return replace(known, **changes)


DETAILS = ModelDetails(
    name="llama3.2:3b",
    installed=LLAMA,
    info=info(),
    manifest=None,
    catalog=None,
    delete_plan=DeletePlan(
        name="llama3.2:3b",
        frees_bytes=2_000_000_000,
        exact=True,
        kept_bytes=19_000_000,
        shared_with=("mine:latest",),
        running=False,
    ),
)


def test_details_of_an_installed_model() -> None:
    """Facts stand in two columns, blocks keep their lines, and a long licence is cut with a word."""
    assert details_text(DETAILS, now=NOW).splitlines() == [
        "llama3.2:3b",
        "  Installed     yes",
        "  Size          2.0 GB",
        "  Modified      2 h ago",
        "  Digest        a80c4f17acd5",
        "  Parameters    3.2 B",
        "  Quantization  Q4_K_M",
        "  Context       131072 tokens",
        "  Embedding     3072",
        "  Capabilities  completion, tools",
        "  Format        gguf",
        "  Family        llama, clip",
        "  Needs         server 0.19.0 or later",
        "  Deleting      frees 2.0 GB, 19 MB stay for mine:latest",
        "",
        "Parameters",
        '  stop    "<|eot_id|>"',
        "",
        "Template",
        "  {{ if .System }}",
        "    {{ .System }}",
        "  {{ end }}",
        "",
        "Licence",
        "  LLAMA 3.2 COMMUNITY LICENSE",
        *["  word"] * 11,
        "  … 19 more lines (--json has them)",
    ]


def test_details_of_a_model_that_could_be_pulled() -> None:
    """What is not installed tells what the registry and the catalog know."""
    layer = Layer(media_type="model", digest="sha256:" + "0" * 64, size_bytes=8_149_190_253)
    manifest = Manifest(
        name="gemma3:12b", digest="f" * 64, layers=(layer,), total_bytes=8_149_190_253
    )
    details = ModelDetails(
        name="gemma3:12b",
        installed=None,
        info=None,
        manifest=manifest,
        catalog=GEMMA,
        delete_plan=None,
    )

    assert details_text(details, now=NOW).splitlines() == [
        "gemma3:12b",
        "  About      Open multimodal models for one GPU",
        "  Publisher  Google",
        "  Installed  no",
        "  Download   8.1 GB",
        "  Digest     ffffffffffff",
    ]


def test_hostile_details() -> None:
    """A template or licence cannot take over the terminal."""
    hostile = info(
        license=HOSTILE, template=HOSTILE, system=HOSTILE, parameters_text=HOSTILE, family=HOSTILE
    )

    text = details_text(replace(DETAILS, name=HOSTILE, info=hostile), now=NOW)

    assert text.replace("\n", "").isprintable()
    assert text.count("  second\\x00") == 4
