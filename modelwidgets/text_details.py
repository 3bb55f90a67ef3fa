"""What a terminal shows of one model: its details, and the code that uses it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from modelwidgets.library import tag_of
from modelwidgets.records import CatalogModel, ModelDetails, Snippet, StoredLayer
from modelwidgets.sizes import gb
from modelwidgets.stores.manifests import LAYER_TYPE
from modelwidgets.tables import Column, table, visible, visible_lines
from modelwidgets.text import LONGEST_NAME, ago, download, moment, parameters

_LONGEST_BLOCK = 12


def details_text(details: ModelDetails, *, now: datetime | None = None) -> str:
    """All that is known of one model; long texts are cut, JSON has them whole."""
    known = _facts(details, now or datetime.now(UTC))
    facts = [(title, visible(fact)) for title, fact in known if fact]
    room = max((len(title) for title, _ in facts), default=0)
    parts = [visible(details.name)]
    parts += [f"  {title:<{room}}  {fact}" for title, fact in facts]
    if details.info:
        for title, block in (
            ("Parameters", details.info.parameters_text),
            ("System", details.info.system),
            ("Template", details.info.template),
            ("Modelfile", details.info.modelfile),
            ("Licence", details.info.license),
        ):
            lines = visible_lines(block)
            if lines:
                parts += ["", title, *(f"  {line}".rstrip() for line in lines[:_LONGEST_BLOCK])]
            if len(lines) > _LONGEST_BLOCK:
                parts.append(f"  … {len(lines) - _LONGEST_BLOCK} more lines (--json has them)")
    if details.layers:
        parts += ["", "Layers"]
        parts += [f"  {line}" for line in table(details.layers, _LAYER_COLUMNS).splitlines()]
    return "\n".join(parts)


_LAYER_COLUMNS: tuple[Column[StoredLayer], ...] = (
    Column(title="What", cell=lambda layer: layer_kind(layer.media_type), at_most=40),
    Column(title="Size", cell=lambda layer: gb(layer.size_bytes), right=True),
    Column(
        title="Shared with",
        cell=lambda layer: ", ".join(layer.shared_with),
        at_most=LONGEST_NAME,
    ),
    Column(title="File", cell=lambda layer: layer.path or "missing", at_most=4096),
)


def layer_kind(media_type: str) -> str:
    """`application/vnd.ollama.image.model` is a model, `...container.image.v1+json` the config."""
    if media_type.startswith("application/vnd.docker.container.image"):
        return "config"
    return media_type.removeprefix(LAYER_TYPE)


def snippets_text(snippets: Sequence[Snippet]) -> str:
    """Each snippet below its title, safe for a terminal as it is for a copy."""
    notes = dict.fromkeys(snippet.note for snippet in snippets if snippet.note)
    parts = [f"# {visible(note)}" for note in notes]
    for snippet in snippets:
        install = f" ({snippet.install})" if snippet.install else ""
        parts += ["", f"# {snippet.title}{install}", *visible_lines(snippet.code)]
    return "\n".join(parts).strip("\n")


def _facts(details: ModelDetails, now: datetime) -> Iterator[tuple[str, str]]:
    catalog, installed, info = details.catalog, details.installed, details.info
    if catalog:
        yield "About", catalog.description
        yield "Publisher", catalog.publisher or ""
    yield "Installed", "yes" if installed else f"no: `modelwidgets pull {details.name}`"
    yield "Known from", _WHO.get(details.basis or "", "")
    yield "Problem", details.problem or ""
    digest = installed.digest if installed else details.manifest and details.manifest.digest
    if installed:
        yield "Size", "in the cloud" if installed.remote_model else gb(installed.size_bytes)
        yield "Modified", _when(installed.modified_at, now)
    elif details.manifest:
        yield "Download", gb(details.manifest.total_bytes)
    yield "Digest", digest or ""
    known = info or installed
    if catalog and not known:
        yield from _listed(details.name, catalog, sized=details.manifest is not None)
    if known:
        yield "Parameters", parameters(known.parameters) or known.parameter_size
    yield "Quantization", _quantization(details)
    if known:
        yield "Context", f"{known.max_context_length} tokens" if known.max_context_length else ""
        yield "Embedding", str(known.embedding_length or "")
        yield "Capabilities", ", ".join(known.capabilities or ())
        yield "Format", known.format
        yield "Family", known.family
        yield "Families", ", ".join(known.families) if len(known.families) > 1 else ""
        yield "Runs at", known.remote_host or ""
    if info:
        architecture = info.model_info.get("general.architecture")
        yield "Architecture", architecture if isinstance(architecture, str) else ""
        yield "Needs", f"server {info.requires} or later" if info.requires else ""
    yield "Licence", (catalog.license or "") if catalog else ""
    if details.delete_plan:
        plan = details.delete_plan
        kept = f", {gb(plan.kept_bytes)} stay for {', '.join(plan.shared_with)}"
        yield (
            "Deleting",
            f"frees {'' if plan.exact else 'at most '}{gb(plan.frees_bytes)}"
            + (kept if plan.shared_with else ""),
        )
    yield "Manifest", details.manifest_path or ""


_WHO = {"catalog": "the catalog", "registry": "its registry"}
"""Who tells of what is not installed."""


def _listed(name: str, catalog: CatalogModel, *, sized: bool) -> Iterator[tuple[str, str]]:
    """What the catalog tells of a model that no server has shown."""
    tag = tag_of(catalog, name.rpartition(":")[2])
    if tag:
        yield "Download", "" if sized else download(tag)
        yield "Parameters", tag.parameters or ""
        yield "Context", f"{tag.context_length} tokens" if tag.context_length else ""
    yield "Capabilities", ", ".join(catalog.capabilities)
    yield "Tags", ", ".join(one.tag for one in catalog.tags)


def _when(at: datetime | None, now: datetime) -> str:
    return f"{ago(at, now)} ({moment(at)})" if at else ""


def _quantization(details: ModelDetails) -> str:
    known = details.quantization
    if known is None:
        return ""
    said = [known.scheme, (known.meaning or "").rstrip(".")]
    if known.bits_per_weight is not None:
        said.append(f"{known.bits_per_weight:.2f} bits per weight ({known.basis})")
    return ". ".join(filter(None, said))
