"""The fit card against a real kernel: its numbers are Python's."""

from __future__ import annotations

import json
import re

from playwright.async_api import expect

from tests.browser.conftest import OpenNotebook
from tests.browser.test_quickstart import CHAT, SHOW, manager
from tests.model_server import ModelServer

ON_A_4090 = """
from modelwidgets import fitting, watch
from modelwidgets.memory.given import devices_from

machine = devices_from(["RTX 4090"], ram="48GiB")
fitting.local_devices = watch.local_devices = lambda url: machine
"""
REPORTS = """
import json
from modelwidgets import fit

for context, cache in ((None, "f16"), (2048, "f16"), (2048, "q8_0")):
    found = fit({name!r}, context_length=context, kv_cache_type=cache).result()
    terms = [[term.part, term.gpu, term.size_bytes] for term in found.terms]
    print(json.dumps([found.verdict, found.context_length, found.total_bytes, terms]))
"""
PARTS = {
    "weights": "Weights",
    "kv_cache": "KV cache",
    "recurrent_state": "Recurrent state",
    "compute": "Compute",
    "output": "Output",
    "overhead": "Overhead of the program",
}


async def test_the_card_says_what_python_says(
    open_notebook: OpenNotebook, model_server: ModelServer
) -> None:
    """Verdict, memory and each part of three settings, of a model on a machine with one GPU."""
    name = model_server.name(CHAT)
    notebook = await open_notebook(
        ON_A_4090,
        SHOW,
        f"from modelwidgets import pull\nawait pull({name!r})",
        REPORTS.format(name=name),
        ollama_host=model_server.url,
    )
    for cell in range(4):
        await notebook.run(cell)
    reports = [json.loads(line) for line in (await notebook.text(3)).splitlines()]
    view = await manager(notebook, 1)
    await view.get_by_role("row", name=re.compile(CHAT)).first.click()
    card = view.get_by_role("region", name=re.compile("Will it fit"))
    slider = card.get_by_role("slider", name="Context")
    await expect(slider).to_be_visible(timeout=30_000)

    status = card.get_by_role("status")

    for number, (verdict, context, total, terms) in enumerate(reports):
        if number == 1:
            await slider.focus()
            await notebook.page.keyboard.press("Home")
        if number == 2:
            await card.get_by_label("KV cache as").select_option("q8_0")
        assert verdict == "full"
        await expect(card.locator(".mw-fit-tokens")).to_have_text(f"{context:,} tokens")
        await expect(status).to_contain_text(f"full GPU {memory(total)} in all")
        for part, title in PARTS.items():
            on_gpu = sum(size for one, gpu, size in terms if one == part and gpu == 0)
            if on_gpu:
                row = card.get_by_role("row", name=re.compile(f"^{title}"))
                await expect(row.get_by_role("cell").first).to_have_text(memory(on_gpu))
    assert len({total for _, _, total, _ in reports}) == 3
    assert notebook.errors == []


def memory(size_bytes: int) -> str:
    """As the page writes it."""
    if size_bytes >= 2**30 / 10:
        return f"{size_bytes / 2**30:.1f} GiB"
    mib = size_bytes / 2**20
    return f"{mib:.1f} MiB" if mib < 10 else f"{mib:.0f} MiB"
