"""Whether a pull that the server calls a success is one.

Done means `success` and the model in the list: with the digest of the registry's manifest where
that could be read and the server keeps it as it is, else as a new or newer one; the basis is told.
"""

from __future__ import annotations

from modelwidgets import names
from modelwidgets.errors import PullFailedError
from modelwidgets.one_pull import Planner, Pull
from modelwidgets.records import InstalledModel
from modelwidgets.service import version_tuple
from modelwidgets.stores.ollama import OllamaClient

KEEPS_MANIFESTS_SINCE = (0, 19)
"""Older servers write a manifest of their own, whose digest no registry knows."""


async def listed_model(pull: Pull) -> InstalledModel | None:
    """What the server lists under the name of the pull."""
    for model in await pull.client.list_models():
        if names.same(model.name, pull.name):
            return model
    return None


async def prove(pull: Pull, before: InstalledModel | None, plan: Planner) -> str:
    """Why this pull counts as done, or `PullFailedError`."""
    after = await listed_model(pull)
    if after is None:
        raise PullFailedError(
            f"The server said success, but does not list {pull.name}.",
            next_step="Look at the server's log, and pull again.",
        )
    got, expected = after.digest, pull.manifest.digest if pull.manifest else None
    if expected == got:
        return f"listed with the registry's digest {got[:12]}"
    if expected is not None and await _lists_as_the_registry(pull.client):
        # the tag may have moved since the plan was made
        manifest = (await plan(pull.name, pull.client.url)).manifest
        if manifest is not None and manifest.digest != got:
            raise PullFailedError(
                f"The server said success, but lists {pull.name} as {got[:12]}, "
                f"and in the registry it is {manifest.digest[:12]}.",
                next_step="Pull again; where that does not help, look at the server's log.",
            )
        if manifest is not None:
            return f"listed with the registry's digest {got[:12]} (the tag moved)"
    if before is None:
        return f"listed, new, as {got[:12]}"
    if before.digest == got:
        return f"listed, unchanged, as {got[:12]}"
    if after.modified_at and before.modified_at and after.modified_at > before.modified_at:
        return f"listed with a newer date, as {got[:12]}"
    raise PullFailedError(
        f"The server said success, but still lists the older {pull.name}.",
        next_step="Look at the server's log, and pull again.",
    )


async def _lists_as_the_registry(client: OllamaClient) -> bool:
    """Whether the server keeps the registry's manifest as it is, so that the digests agree."""
    version = version_tuple(await client.version())
    return version is not None and version >= KEEPS_MANIFESTS_SINCE
