"""What models, pulls and the machine look like without a page.

For terminals, for cells without a front end, and for notebooks read without a kernel. The text and
the HTML of one kind share their columns; only a terminal says how long ago something was, because a
saved page is read at any later time and needs the date.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from modelwidgets.sizes import digits, gb, gb_of, gib, gib_of, percent
from modelwidgets.tables import (
    Column,
    cut,
    display_width,
    html_table,
    safe_html,
    table,
    visible,
    visible_lines,
)

if TYPE_CHECKING:  # the cell of a widget need not wait for all records
    from modelwidgets.device_records import Devices, Gpu
    from modelwidgets.records import (
        CatalogModel,
        CatalogTag,
        DiskUsage,
        InstalledModel,
        InstalledSlice,
        PullProgress,
        ServiceStatus,
    )

LONGEST_NAME = 600
"""Names are there to be copied: they are cut only where no name can be so long."""

# Numbers and times


def parameters(count: int | None) -> str:
    """A number of weights: `3.2 B`, `137 M`; empty where it is not known."""
    if count is None:
        return ""
    for unit, size in (("T", 10**12), ("B", 10**9), ("M", 10**6), ("K", 10**3)):
        if count >= 0.9995 * size:
            return f"{digits(count / size).removesuffix('.0')} {unit}"
    return str(count)


def duration(seconds: float | None) -> str:
    """How long: `58 s`, `3 min 20 s`, `2 h 5 min`, `3 days`; empty where it is not known."""
    if seconds is None:
        return ""
    whole = max(0, round(seconds))
    hours, minutes = whole // 3600, whole // 60 % 60
    if hours >= 48:
        return f"{round(hours / 24)} days"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"


def ago(at: datetime | None, now: datetime) -> str:
    """How long ago: `2 h ago`; the date where a wrong clock puts it into the future."""
    if at is None:
        return ""
    seconds = (now - at).total_seconds()
    if seconds < -3600:
        return moment(at)
    for unit, size in (
        ("years", 365.25 * 86400),
        ("months", 30.44 * 86400),
        ("d", 86400),
        ("h", 3600),
        ("min", 60),
    ):
        if seconds >= (2 * size if unit in ("years", "months") else size):
            return f"{int(seconds // size)} {unit} ago"
    return "just now"


def moment(at: datetime | None) -> str:
    """A date and time that reads the same everywhere: `2026-03-01 12:03 UTC`."""
    if at is None:
        return ""
    try:
        return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    except OverflowError:  # the last hours of the year 9999, west of Greenwich
        return f"{at:%Y-%m-%d %H:%M %z}"


# Installed models


def installed_text(models: Sequence[InstalledModel], *, now: datetime | None = None) -> str:
    if not models:
        return "No models to show. Pull one: `modelwidgets pull NAME`."
    present = now or datetime.now(UTC)
    return table(models, installed_columns(lambda at: ago(at, present)))


def installed_html(installed: InstalledSlice, service: ServiceStatus | None) -> str:
    """The list as it was last seen, for a page that is opened without a kernel."""
    where = f" on {_shown_url(service.url)}" if service else ""
    if installed.as_of is None:
        return f"<p>The installed models{safe_html(where)} were not listed yet.</p>"
    caption = f"Installed models{where}, as of {moment(installed.as_of)}"
    stale = f"<p>{safe_html(installed.stale)}</p>" if installed.stale else ""
    if not installed.models:
        return f"<p>{safe_html(caption)}: none.</p>{stale}"
    return html_table(installed.models, installed_columns(moment), caption=caption) + stale


def installed_columns(
    when: Callable[[datetime | None], str],
) -> tuple[Column[InstalledModel], ...]:
    return (
        Column(title="Name", cell=lambda model: model.name, at_most=LONGEST_NAME),
        Column(
            title="Parameters",
            cell=lambda model: parameters(model.parameters) or model.parameter_size,
            right=True,
            at_most=16,
        ),
        Column(title="Quantization", cell=lambda model: model.quantization, at_most=16),
        Column(
            title="Size",
            cell=lambda model: "cloud" if model.remote_model else gb(model.size_bytes),
            right=True,
        ),
        Column(title="Modified", cell=lambda model: when(model.modified_at)),
    )


# Catalog


def catalog_text(
    models: Sequence[CatalogModel], matching: Mapping[str, Sequence[str]] | None = None
) -> str:
    """A line a family, with the size of the tag that is recommended.

    `matching` has the full names that a search found, by family; they are shown where the search
    tells the tags of a family apart.
    """
    if not models:
        return "Nothing in the catalog matches."
    matching = matching or {}
    found = {
        model.name: matching[model.name]
        for model in models
        if 0 < len(matching.get(model.name, ())) < len(model.tags)
    }
    if not found:
        return table(models, CATALOG_COLUMNS)
    column: Column[CatalogModel] = Column(
        title="Matches",
        cell=lambda model: " ".join(name.rpartition(":")[2] for name in found.get(model.name, ())),
        at_most=40,
    )
    return table(models, (CATALOG_COLUMNS[0], column, *CATALOG_COLUMNS[2:]))


def _variants(model: CatalogModel) -> str:
    """Its sizes: `1b 4b 12b +2`."""
    names = list(dict.fromkeys(tag.parameters or tag.tag for tag in model.tags))
    more = f" +{len(names) - 3}" if len(names) > 3 else ""
    return " ".join(names[:3]) + more


def _download(model: CatalogModel) -> str:
    tag = next((tag for tag in model.tags if tag.tag == model.recommended_tag), None)
    return download(tag) if tag else ""


def download(tag: CatalogTag) -> str:
    """Its size, "about" where the catalog does not know it to the byte."""
    if tag.size_bytes is None:
        return ""
    return gb(tag.size_bytes) if tag.size_exact else f"about {gb(tag.size_bytes)}"


def _description(model: CatalogModel) -> str:
    if not model.custom:
        return model.description
    mark = "own entry, unchecked" if model.unchecked else "own entry"
    return f"({mark}) {model.description}"


CATALOG_COLUMNS: tuple[Column[CatalogModel], ...] = (
    Column(title="Name", cell=lambda model: model.name),
    Column(title="Sizes", cell=_variants, at_most=24),
    Column(title="Recommended", cell=lambda model: model.recommended_tag or "", at_most=20),
    Column(title="Download", cell=_download, right=True),
    Column(title="Category", cell=lambda model: model.category, at_most=16),
    Column(title="Description", cell=_description, at_most=60),
)


# Pulls

_BAR_WIDTH = 20


def pulls_text(pulls: Sequence[PullProgress], *, width: int | None = None) -> str:
    """A line a pull with a bar, and below what is to be said of the ended ones.

    With `width` no line is longer, so that a terminal can draw it again in place.
    """
    if not pulls:
        return "No pulls."
    notes = [line for pull in pulls for line in _note(pull)]
    if width is None:
        return "\n".join([table(pulls, _PULL_COLUMNS), *notes])
    lines = table(pulls, _fitting_columns(pulls, width)).splitlines() + notes
    return "\n".join(cut(line, width) for line in lines)


def pulls_html(pulls: Sequence[PullProgress], *, now: datetime | None = None) -> str:
    """The pulls as they are at this moment, for a page that is opened without a kernel."""
    as_of = f"as of {moment(now or datetime.now(UTC))}"
    if not pulls:
        return f"<p>No pulls, {as_of}.</p>"
    note: Column[PullProgress] = Column(
        title="Note", cell=lambda pull: pull.error or pull.proof or pull.owner or ""
    )
    return html_table(pulls, [*_WITHOUT_BAR, note], caption=f"Pulls, {as_of}")


def _fitting_columns(pulls: Sequence[PullProgress], width: int) -> Sequence[Column[PullProgress]]:
    """All of them where they have room, else without the bar, and at last with shorter names."""
    longest = max(display_width(visible(pull.name)) for pull in pulls)
    room = width
    for columns in (_PULL_COLUMNS, _WITHOUT_BAR):
        rest = table(pulls, columns[1:]).splitlines()
        room = width - 3 - max(map(display_width, rest))
        if longest <= room:
            return columns
    names, *others = _WITHOUT_BAR
    return (replace(names, at_most=max(room, 12)), *others)


def _note(pull: PullProgress) -> Iterator[str]:
    proof = pull.proof if pull.state == "done" else None
    said = visible_lines(pull.error or proof or (pull.owner and f"in {pull.owner}") or "")
    for number, line in enumerate(said):
        yield f"{visible(pull.name)}: {line}" if number == 0 else f"  {line}"


def _bar(pull: PullProgress) -> str:
    if pull.total_bytes is None:
        return ""
    completed, total = pull.completed_bytes, pull.total_bytes
    full = min(completed, total) * _BAR_WIDTH // total if total else _BAR_WIDTH
    return "▓" * full + "░" * (_BAR_WIDTH - full)


def _pull_state(pull: PullProgress) -> str:
    if pull.state == "queued":
        return "queued" if pull.position is None else f"queued, place {pull.position}"
    return pull.phase if pull.state == "running" else pull.state


def _pull_size(pull: PullProgress) -> str:
    if pull.total_bytes is None and not pull.completed_bytes:
        return ""
    return gb_of(pull.completed_bytes, pull.total_bytes)


def _pull_percent(pull: PullProgress) -> str:
    return "" if pull.total_bytes is None else percent(pull.completed_bytes, pull.total_bytes)


def _pull_speed(pull: PullProgress) -> str:
    running = pull.state == "running" and pull.bytes_per_second is not None
    return f"{gb(pull.bytes_per_second)}/s" if running else ""


_PROGRESS = Column(title="Progress", cell=_bar)
_PULL_COLUMNS: tuple[Column[PullProgress], ...] = (
    Column(title="Name", cell=lambda pull: pull.name, at_most=LONGEST_NAME),
    Column(title="State", cell=_pull_state),
    _PROGRESS,
    Column(title="Size", cell=_pull_size, right=True),
    Column(title="%", cell=_pull_percent, right=True),
    Column(title="Speed", cell=_pull_speed, right=True),
    Column(
        title="Left",
        cell=lambda pull: duration(pull.eta_seconds) if pull.state == "running" else "",
        right=True,
    ),
)
_WITHOUT_BAR = tuple(column for column in _PULL_COLUMNS if column is not _PROGRESS)


# The machine


def status_text(
    service: ServiceStatus | None, devices: Devices | None, disk: DiskUsage | None
) -> str:
    """The server, the GPUs, the RAM and the disk, a line each; what was not asked is left out."""
    lines = [_service_line(service)]
    if service:
        lines += [visible(text) for text in (service.reason, service.old) if text]
        if service.sample_registry:
            lines.append(
                "No way to the real registry: search the catalog for `samples`, which this machine "
                "serves."
            )
    if devices:
        lines += [f"GPU   {_gpu_line(gpu)}" for gpu in devices.gpus]
        if devices.reason:
            lines.append(f"GPU   {visible(devices.reason)}")
        ram = gib_of(devices.ram_available_bytes, devices.ram_total_bytes)
        lines.append(f"RAM   {ram} available")
    if disk:
        lines.append(f"Disk  {_disk_line(disk)}")
    return "\n".join(lines)


def _service_line(service: ServiceStatus | None) -> str:
    if service is None:
        return "The server was not asked yet."
    kind = {"ollama": "Ollama", "embedded": "Embedded store", "unknown": "Server"}[service.kind]
    named = f"{kind} {service.version}" if service.version else kind
    return visible(f"{named} {service.state} at {_shown_url(service.url)} ({service.viewer})")


def _gpu_line(gpu: Gpu) -> str:
    name = visible(gpu.name)
    shared = ", shared with the CPU" if gpu.unified else ""
    if gpu.total_bytes is None:
        return f"{name}: {visible(gpu.error or 'memory unknown')}"
    if gpu.free_bytes is None:
        total = gib(gpu.total_bytes)
        return f"{name}: {total}, {visible(gpu.error or 'free memory unknown')}"
    free = gib_of(gpu.free_bytes, gpu.total_bytes, about=gpu.assumed)
    return f"{name}: {free} free{shared}"


def _disk_line(disk: DiskUsage) -> str:
    parts = [f"{'' if disk.exact else 'at most '}{gb(disk.used_bytes)} used"]
    if disk.partial_bytes:
        parts.append(f"{gb(disk.partial_bytes)} of unfinished downloads")
    if disk.free_bytes is not None:
        parts.append(f"{gb(disk.free_bytes)} free")
    where = f" in {visible(disk.path)}" if disk.path else ""
    return ", ".join(parts) + where


def _shown_url(url: str) -> str:
    """Without a user name and password, which a page or a log must not keep."""
    return re.sub(r"//[^/?#]*@", "//", url)
