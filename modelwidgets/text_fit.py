"""Whether a model fits, as text and as HTML."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from modelwidgets.device_records import Devices
from modelwidgets.fit_records import FitMark, FitReport, FitRow, MemoryTerm
from modelwidgets.sizes import gb, gib, gib_of
from modelwidgets.tables import Column, html_table, safe_html, table, visible
from modelwidgets.text import LONGEST_NAME

_PARTS = {
    "weights": "Weights",
    "kv_cache": "KV cache",
    "recurrent_state": "Recurrent state",
    "compute": "Compute",
    "projector": "Projector",
    "adapter": "Adapter",
    "output": "Output",
    "overhead": "Overhead of the program",
}
_BASES = {
    "header": "header of the file",
    "manifest": "size of the download",
    "catalog": "catalog",
    "guess": "estimate",
}
_UNNAMED = "GPU"
"""What a GPU is called of which only the memory was named."""
_SHORT = {
    "full": "whole on the GPU",
    "moe-partial": "experts in RAM",
    "partial": "partly on the GPU",
    "cpu": "on the CPU",
    "no": "does not fit",
    None: "not known",
}


def verdict_sentence(report: FitReport) -> str:
    """What will happen, in one sentence without its point."""
    layers = report.layer_count
    match report.verdict:
        case "full":
            return "fits whole on the GPU"
        case "moe-partial":
            return (
                f"runs on the GPU with the experts of {report.experts_in_ram} of {layers - 1} "
                "layers in RAM"
            )
        case "partial" if report.basis == "guess":
            return "runs partly on the GPU, the rest in RAM"
        case "partial":
            return f"runs with {report.gpu_layers} of {layers} layers on the GPU, the rest in RAM"
        case "cpu":
            return "runs on the CPU, in RAM"
        case "no":
            return "does not fit"
    return "no verdict: the devices are not known"


def misfit_text(name: str, mark: FitMark, devices: Devices | None) -> str:
    """That a model does not fit, with the numbers, before it is pulled; in one line."""
    about = "" if mark.basis == "header" else "about "
    said = f"{visible(name)} does not fit: it needs {about}{gib(mark.needed_bytes)}"
    if devices is None:
        return f"{said}."
    free = [gpu.free_bytes for gpu in devices.gpus if gpu.free_bytes is not None and gpu.visible]
    gpus = f"{gib(sum(free))} on GPUs and " if free else ""
    return f"{said}, and {gpus}{gib(devices.ram_available_bytes)} of RAM are free."


def fit_text(report: FitReport) -> str:
    """The verdict, each term, and what would help."""
    facts = [(title, visible(fact)) for title, fact in _facts(report)]
    room = max(len(title) for title, _ in facts)
    lines = [f"{visible(report.name)}: {verdict_sentence(report)}."]
    lines += [f"  {title:<{room}}  {fact}" for title, fact in facts]
    lines += ["", *(f"  {line}" for line in table(_rows(report), _COLUMNS).splitlines())]
    if report.suggestions:
        lines += ["", "What would help"]
        lines += [f"  {visible(one.text)}" for one in report.suggestions]
    if report.notes:
        lines += ["", *(visible(note) for note in report.notes)]
    return "\n".join(lines)


def fit_html(report: FitReport) -> str:
    """The same for a notebook, without script, readable without a kernel."""
    facts = "".join(
        f"<li>{safe_html(title)}: {safe_html(fact)}</li>" for title, fact in _facts(report)
    )
    parts = [
        f"<p><strong>{safe_html(report.name)}</strong>: {safe_html(verdict_sentence(report))}.</p>",
        f"<ul>{facts}</ul>",
        html_table(_rows(report), _COLUMNS, caption=f"Memory of {report.name}"),
    ]
    if report.suggestions:
        helping = "".join(f"<li>{safe_html(one.text)}</li>" for one in report.suggestions)
        parts.append(f"<p>What would help:</p><ul>{helping}</ul>")
    parts += [f"<p>{safe_html(note)}</p>" for note in report.notes]
    return "".join(parts)


def fit_table_text(rows: Sequence[FitRow]) -> str:
    """A line a model."""
    failed = [f"{visible(row.name)}: {visible(row.error)}" for row in rows if row.error]
    return "\n".join([table(rows, _TABLE_COLUMNS), *failed])


def fit_table_html(rows: Sequence[FitRow]) -> str:
    """The same for a notebook."""
    failed = "".join(
        f"<p>{safe_html(row.name)}: {safe_html(row.error)}</p>" for row in rows if row.error
    )
    return html_table(rows, _TABLE_COLUMNS, caption="Do they fit?") + failed


_Row = tuple[str, str, str, str]


def _rows(report: FitReport) -> list[_Row]:
    terms = sorted(report.terms, key=lambda term: (term.gpu is None, term.gpu or 0))
    found = [
        (_where(term, report.devices), _PARTS[term.part], mib(term.size_bytes), _BASES[term.basis])
        for term in terms
    ]
    return [*found, ("In all", "", mib(report.total_bytes), "")]


def mib(size_bytes: int) -> str:
    """Memory to the hundredth of a MiB: `4403.49 MiB`."""
    return f"{size_bytes / 2**20:.2f} MiB"


def _where(term: MemoryTerm, devices: Devices | None) -> str:
    if term.gpu is None:
        return "RAM"
    if devices is None:
        return "GPU"
    named = next((gpu.name for gpu in devices.gpus if gpu.index == term.gpu), _UNNAMED)
    return f"GPU {term.gpu}" if named == _UNNAMED else f"GPU {term.gpu} ({named})"


_COLUMNS: tuple[Column[_Row], ...] = (
    Column(title="Where", cell=lambda row: row[0], at_most=60),
    Column(title="What", cell=lambda row: row[1]),
    Column(title="Memory", cell=lambda row: row[2], right=True),
    Column(title="Known from", cell=lambda row: row[3]),
)
_TABLE_COLUMNS: tuple[Column[FitRow], ...] = (
    Column(title="Model", cell=lambda row: row.name, at_most=LONGEST_NAME),
    Column(title="Fits", cell=lambda row: _SHORT[row.verdict]),
    Column(title="Context", cell=lambda row: str(row.context_length or ""), right=True),
    Column(title="Memory", cell=lambda row: gib(row.total_bytes), right=True),
    Column(title="On GPUs", cell=lambda row: gib(row.gpu_bytes), right=True),
    Column(title="Download", cell=lambda row: gb(row.download_bytes), right=True),
    Column(title="Whole on", cell=lambda row: row.recommended_gpu or ""),
)


def _facts(report: FitReport) -> Iterator[tuple[str, str]]:
    span = ""
    if report.least_bytes != report.most_bytes:
        span = f" (between {gib(report.least_bytes)} and {gib(report.most_bytes)})"
    yield "Memory", gib(report.total_bytes) + span
    yield "Sizes from", _BASES[report.basis]
    asked = f"{report.context_length} tokens, cache {report.kv_cache_type}"
    many = f", {report.num_parallel} requests at a time" if report.num_parallel > 1 else ""
    yield "Context", asked + many
    if report.installed:
        yield "Installed", "yes"
    elif report.download_bytes is not None:
        yield "Download", gb(report.download_bytes)
    if report.devices is not None:
        yield from _machine(report.devices)
    best = report.recommended_gpu
    if best is None:
        yield "Whole on", "no card known here, nor eight of them"
    else:
        count = f"{best.count} x " if best.count > 1 else ""
        cards = ", ".join(best.cards)
        yield "Whole on", f"{count}{best.memory_bytes >> 30} GiB, such as {count}{cards}"
    for user in report.users:
        where = f" on GPU {user.gpu}" if user.gpu is not None else ""
        who = user.name or f"program {user.pid}"
        yield "Also there", f"{who}: {gib(user.used_bytes)}{where}"


def _machine(devices: Devices) -> Iterator[tuple[str, str]]:
    for gpu in devices.gpus:
        if gpu.free_bytes is None or gpu.total_bytes is None:
            free = "free memory unknown"
        else:
            free = f"{gib_of(gpu.free_bytes, gpu.total_bytes, about=gpu.assumed)} free"
        yield f"GPU {gpu.index}", free if gpu.name == _UNNAMED else f"{gpu.name}, {free}"
    if not devices.gpus:
        yield "GPU", "none"
    yield "RAM", f"{gib_of(devices.ram_available_bytes, devices.ram_total_bytes)} free"
