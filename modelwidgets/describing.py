"""Everything known of one name, put together from the server, its store, and the catalog."""

from __future__ import annotations

from collections.abc import Sequence

from modelwidgets import names, quantization, snippet_code
from modelwidgets.errors import BadAnswerError, OllamaResponseError
from modelwidgets.library import tag_of
from modelwidgets.records import (
    CatalogModel,
    DeletePlan,
    InstalledModel,
    Manifest,
    ModelDetails,
    ModelInfo,
    ServiceStatus,
    StoredLayer,
)
from modelwidgets.stores.ollama import OllamaClient
from modelwidgets.stores.ollama_files import StoreFiles


async def ask_info(client: OllamaClient, name: str) -> tuple[ModelInfo | None, str | None]:
    """What the server says of an installed model; where it cannot read it, why.

    Raises where the server does not have the model, or does not answer.
    """
    try:
        return await client.show(name), None
    except BadAnswerError as error:
        return None, str(error)
    except OllamaResponseError as error:
        if error.status_code is None or error.status_code < 500:
            raise
        return None, f"The server cannot read this model. {error}"


Stored = tuple[Manifest, tuple[StoredLayer, ...], str | None]
"""A manifest, its layers as they lie on disk, and its own file; of a registry the first alone."""


def stored(store: StoreFiles, name: str) -> Stored | None:
    """The manifest of an installed model, its layers as they lie there, and its own file."""
    found = store.find(names.parse(name))
    manifest = None if found is None else store.manifest(found)
    if found is None or manifest is None:
        return None
    return manifest, store.stored_layers(manifest), str(store.manifest_path(found))


def describe(
    name: str,
    *,
    url: str,
    service: ServiceStatus | None,
    installed: InstalledModel | None,
    info: ModelInfo | None,
    problem: str | None,
    stored: Stored | None,
    catalog: CatalogModel | None,
    delete_plan: DeletePlan | None,
) -> ModelDetails:
    """The record of all that; `problem` is what is wrong so far."""
    manifest, layers, path = stored or (None, (), None)
    known = info or installed
    tag = tag_of(catalog, names.parse(name).tag) if catalog else None
    scheme = (known.quantization if known else "") or (tag.quantization if tag else None) or ""
    can = (known.capabilities if known else None) or (catalog.capabilities if catalog else None)
    shown = installed.name if installed else name
    return ModelDetails(
        name=name,
        installed=installed,
        info=info,
        manifest=manifest,
        catalog=catalog,
        delete_plan=delete_plan,
        tag=tag,
        basis="server"
        if info
        else "list"
        if installed
        else "catalog"
        if catalog
        else "registry"
        if manifest
        else None,
        quantization=quantization.explain(
            scheme,
            layers=manifest.layers if manifest else (),
            parameters=_exact_parameters(info),
        ),
        layers=layers,
        manifest_path=path,
        problem="\n".join(filter(None, (_missing(layers), problem))) or None,
        snippets=snippet_code.write_snippets(
            shown,
            url=url,
            kind=snippet_code.kind_of(can, known.families if known else ()),
            embedded=service is not None and service.kind == "embedded",
            installed=installed is not None,
        ),
    )


def _exact_parameters(info: ModelInfo | None) -> int | None:
    """The number that was read from the weights; the label is rounded."""
    count = info.model_info.get("general.parameter_count") if info else None
    return count if type(count) is int and count > 0 else None


def _missing(layers: Sequence[StoredLayer]) -> str | None:
    missing = sum(layer.path is None for layer in layers)
    if not missing:
        return None
    are = "is" if missing == 1 else "are"
    return (
        f"It is damaged: {missing} of its {len(layers)} layers {are} missing on disk. "
        "Pull it again, or delete it."
    )
