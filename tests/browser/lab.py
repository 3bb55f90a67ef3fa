"""A Jupyter server of our own, and a notebook open in it, as tests drive them."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat
from playwright.async_api import BrowserContext, ConsoleMessage, Locator, Page
from playwright.async_api import TimeoutError as PlaywrightTimeoutError

from tests.browser.host import HostServer, told_url

SCREENSHOTS = Path(__file__).parents[2] / "artifacts" / "screenshots"
IDLE_SECONDS = 60


class LabServer(HostServer):
    """JupyterLab on loopback with settings, kernels' folders and notebooks inside `folder`.

    Another Python runs another version of it; `app="notebook"` is Notebook 7.
    """

    def __init__(
        self, folder: Path, *, python: Path | None = None, app: str = "jupyterlab", **environ: str
    ) -> None:
        super().__init__(folder, app, **environ)
        self._python = python or Path(sys.executable)
        self.root = folder / "notebooks"
        self.root.mkdir(parents=True)
        self.token = secrets.token_hex(16)
        self._runtime = Path(self._env["JUPYTER_RUNTIME_DIR"])

    def start(self) -> None:
        self._silence_news()
        command = [str(self._python), "-m", self.app, "--no-browser", "--ip=127.0.0.1"]
        command += ["--ServerApp.port=0", f"--ServerApp.root_dir={self.root}"]
        command += [f"--IdentityProvider.token={self.token}", "--expose-app-in-browser"]
        if self.app == "jupyterlab":
            command += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
        if hasattr(os, "getuid") and os.getuid() == 0:
            command.append("--allow-root")
        self._run(command, self._told_url)
        self.ask("api/status")

    def page_of(self, notebook: str) -> str:
        """The address that opens a notebook of the root."""
        if self.app == "notebook":
            return f"{self.url}notebooks/{notebook}?token={self.token}"
        return f"{self.url}lab/tree/{notebook}?token={self.token}&reset"

    def ask(self, path: str, method: str = "GET") -> Any:
        """The JSON that the server's own API answers."""
        request = urllib.request.Request(
            self.url + path, headers={"Authorization": f"token {self.token}"}, method=method
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"null")

    def _told_url(self) -> bool:
        self.url = told_url(self._runtime)
        return self.url != ""

    def _silence_news(self) -> None:
        """JupyterLab would ask in each new profile whether to fetch news."""
        plugin = Path(self._env["JUPYTERLAB_SETTINGS_DIR"]) / "@jupyterlab" / "apputils-extension"
        plugin.mkdir(parents=True)
        settings = {"fetchNews": "false", "checkForUpdates": False}
        (plugin / "notification.jupyterlab-settings").write_text(json.dumps(settings))


def write_notebook(path: Path, cells: Sequence[str]) -> None:
    """A notebook of code cells."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, path)


class Notebook:
    """A notebook open in a page, with its kernel."""

    def __init__(self, server: LabServer, page: Page, name: str) -> None:
        self.page = page
        self.name = name
        self.errors: list[str] = []
        """What the page complained about in its console, and exceptions nobody caught."""
        self._server = server
        self._theme_changed = False
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    @classmethod
    async def open(cls, server: LabServer, context: BrowserContext, name: str) -> Notebook:
        """Open the notebook `name` of the server's root in a page of its own."""
        notebook = cls(server, await context.new_page(), name)
        try:
            await notebook.page.goto(server.page_of(name))
            await notebook.wait_idle()
        except BaseException:
            await notebook.close()
            raise
        return notebook

    async def close(self) -> None:
        """Close the page and end the kernel."""
        if self._theme_changed:
            await self.theme("JupyterLab Light")
        await self.page.close()
        for session in self._server.ask("api/sessions"):
            if session["path"] == self.name:
                await asyncio.to_thread(self._server.ask, f"api/sessions/{session['id']}", "DELETE")

    # Running

    async def start(self, index: int) -> None:
        """Start one cell and do not wait for it."""
        await self._inside(f"(panel, index) => {{ ({_RUN})(panel, ['run-cell', index]); }}", index)

    async def run(self, index: int) -> None:
        """Run one cell to its end; an error in it fails the test."""
        await self._inside(_RUN, ["run-cell", index])
        await self.wait_idle()
        self._refuse_errors(await self.outputs(index))

    async def run_all(self) -> None:
        """Run every cell to its end; an error in one fails the test."""
        await self._inside(_RUN, ["run-all-cells", 0])
        await self.wait_idle()
        for index in range(await self._inside("panel => panel.content.widgets.length")):
            self._refuse_errors(await self.outputs(index))

    async def quietly(self, code: str) -> None:
        """Run code in the kernel without a cell."""
        await self._inside(
            """(panel, code) => panel.sessionContext.session.kernel
                .requestExecute({ code, silent: true, store_history: false }).done.then(() => {})
            """,
            code,
        )

    async def wait_idle(self) -> None:
        """Wait until the kernel is idle and no cell waits or runs."""
        try:
            await self._wait_until(_IDLE)
        except PlaywrightTimeoutError as error:
            await self.screenshot(f"not-idle-{self.name}")
            raise AssertionError(f"{self.name} did not become idle; see its screenshot") from error

    async def interrupt(self) -> None:
        await self._inside("panel => panel.sessionContext.session.kernel.interrupt()")

    async def restart(self) -> None:
        """Restart the kernel without asking."""
        await self._inside("panel => panel.sessionContext.session.kernel.restart()")
        await self.wait_idle()

    async def reload(self) -> None:
        """Load the page again; the kernel lives on."""
        await self._inside("panel => panel.context.save()")
        await self.page.reload()
        await self.wait_idle()

    # Looking

    def cell(self, index: int) -> Locator:
        return self.page.locator(".jp-Notebook-cell").nth(index)

    def output(self, index: int) -> Locator:
        """What the cell shows below its code, widgets included."""
        return self.cell(index).locator(".jp-Cell-outputWrapper")

    async def outputs(self, index: int) -> list[dict[str, Any]]:
        """The outputs of a cell as the notebook file keeps them."""
        found: list[dict[str, Any]] = await self._inside(
            "(panel, index) => panel.content.widgets[index].model.outputs?.toJSON() ?? []", index
        )
        return found

    async def text(self, index: int) -> str:
        """What a cell printed."""
        printed = [output.get("text", "") for output in await self.outputs(index)]
        return "".join("".join(part) for part in printed)

    async def theme(self, name: str) -> None:
        """Change the look: "JupyterLab Dark", "JupyterLab Light" (restored at the end)."""
        self._theme_changed = name != "JupyterLab Light"
        await self.page.evaluate(
            "theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme })", name
        )
        light = "true" if name == "JupyterLab Light" else "false"
        themed = self.page.locator(f"body[data-jp-theme-light='{light}']")
        await themed.wait_for(state="attached")

    async def screenshot(self, name: str, of: Locator | None = None) -> Path:
        """Keep a picture of the page, or of one part, as artifacts/screenshots/NAME.png."""
        path = SCREENSHOTS / f"{name}.png"
        await (of or self.page).screenshot(path=path, animations="disabled")
        return path

    def _note(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} ({message.location['url']})")

    async def _inside(self, function: str, arg: Any = None) -> Any:
        """The value of a JavaScript function of the notebook's panel and `arg`."""
        return await self.page.evaluate(_on_panel(function), [self.name, arg])

    async def _wait_until(self, condition: str) -> None:
        await self.page.wait_for_function(
            _on_panel(condition), arg=[self.name, None], timeout=IDLE_SECONDS * 1000
        )

    def _refuse_errors(self, outputs: list[dict[str, Any]]) -> None:
        for output in outputs:
            if output["output_type"] == "error":
                raise AssertionError("\n".join(output["traceback"]))


_RUN = """(panel, [command, index]) => {
    panel.content.activeCellIndex = index;
    return window.jupyterapp.commands.execute(`notebook:${command}`);
}"""
_IDLE = """panel => panel?.isRevealed
    && panel.sessionContext.session?.kernel?.status === "idle"
    && panel.content.widgets.every(cell => cell.model.executionState !== "running")
"""


def _on_panel(function: str) -> str:
    return f"""([name, arg]) => {{
        const panels = [...(window.jupyterapp?.shell.widgets("main") ?? [])];
        return ({function})(panels.find(panel => panel.context?.path === name), arg);
    }}"""
