/** Door 2 in the page: a panel, a place in the status bar, and commands. The views load when first shown. */
import {
  ILayoutRestorer,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin,
} from "@jupyterlab/application";
import { ICommandPalette, InputDialog, MainAreaWidget, Notification } from "@jupyterlab/apputils";
import { ILauncher } from "@jupyterlab/launcher";
import { ServerConnection } from "@jupyterlab/services";
import { ISettingRegistry } from "@jupyterlab/settingregistry";
import { IStatusBar } from "@jupyterlab/statusbar";
import { LabIcon } from "@jupyterlab/ui-components";
import { Widget } from "@lumino/widgets";

import "../style/index.css";
import type { Host, SocketModel } from "./views";

const ID = "modelwidgets:plugin";
const CATEGORY = "Models";
const SVG =
  '<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16" viewBox="0 0 16 16">' +
  '<g class="jp-icon3" fill="#616161"><path d="M8 1 1.5 4.2 8 7.4l6.5-3.2z"/>' +
  '<path d="M1.5 7.6 8 10.8l6.5-3.2v1.7L8 12.5 1.5 9.300z"/>' +
  '<path d="M1.5 10.800 8 14l6.500-3.200v1.700L8 15.700l-6.500-3.200z"/></g></svg>';

export const icon = new LabIcon({ name: "modelwidgets:models", svgstr: SVG });

/** What all parts of this page share: one socket, made when the first of them needs it. */
class Connection {
  #host: Host | null = null;
  #loading: Promise<{ views: typeof import("./views"); socket: SocketModel }> | null = null;

  open() {
    this.#loading ??= import("./views").then((views) => {
      const settings = ServerConnection.makeSettings();
      const token = settings.token ? `?token=${encodeURIComponent(settings.token)}` : "";
      const url = new URL("modelwidgets/socket", settings.wsUrl).href + token;
      return { views, socket: new views.SocketModel(() => new settings.WebSocket(url)) };
    });
    return this.#loading;
  }

  /** What commands and the status bar ask and hear; it draws nothing. */
  async host(): Promise<Host> {
    const { views, socket } = await this.open();
    this.#host ??= views.hostOf(socket);
    return this.#host;
  }

  async call(method: string, params: object): Promise<unknown> {
    return (await this.host()).call(method, params);
  }
}

/** The manager, drawn when it is first shown. */
class Panel extends Widget {
  #undo: (() => void) | null = null;
  #disposed = false;

  constructor(
    private readonly connection: Connection,
    id: string,
  ) {
    super();
    this.id = id;
    this.title.icon = icon;
    this.title.caption = "Models";
    this.addClass("mw-panel");
    this.node.tabIndex = -1;
  }

  protected onAfterShow(): void {
    void this.#draw();
  }

  protected onAfterAttach(): void {
    if (this.isVisible) void this.#draw();
  }

  protected onActivateRequest(): void {
    this.node.focus();
  }

  dispose(): void {
    this.#disposed = true;
    this.#undo?.();
    super.dispose();
  }

  async #draw(): Promise<void> {
    if (this.#undo) return;
    this.#undo = () => undefined;
    try {
      const { views, socket } = await this.connection.open();
      if (!this.#disposed) this.#undo = views.show(this.node, socket);
    } catch (error) {
      this.#undo = null; // the next time it is shown it is tried again
      this.node.textContent = `The views of modelwidgets could not be loaded (${error}). Reload the page.`;
    }
  }
}

/** How the manager stands, in the status bar; a click opens the panel. */
class StatusItem extends Widget {
  #undo: (() => void) | null = null;

  constructor(connection: Connection, open: () => void) {
    super({ node: document.createElement("button") });
    this.addClass("mw-status-item");
    this.addClass("jp-mod-highlighted");
    this.node.addEventListener("click", open);
    this.#show("Models", "Open the models");
    void Promise.all([connection.open(), connection.host()]).then(([{ views }, host]) => {
      if (this.isDisposed) return;
      const update = () => {
        const { text, title, state } = views.inShort(host);
        this.#show(text, title);
        this.node.dataset.state = state;
      };
      this.#undo = host.on("change", update);
      update();
    });
  }

  dispose(): void {
    this.#undo?.();
    super.dispose();
  }

  #show(text: string, title: string): void {
    if (this.node.textContent !== text) this.node.textContent = text;
    this.node.title = title;
  }
}

const plugin: JupyterFrontEndPlugin<void> = {
  id: ID,
  description: "Manages local models: a panel, the status bar, commands.",
  autoStart: true,
  optional: [ILayoutRestorer, ICommandPalette, ISettingRegistry, IStatusBar, ILauncher],
  activate,
};

function activate(
  app: JupyterFrontEnd,
  restorer: ILayoutRestorer | null,
  palette: ICommandPalette | null,
  settings: ISettingRegistry | null,
  statusBar: IStatusBar | null,
  launcher: ILauncher | null,
): void {
  const connection = new Connection();
  const panel = new Panel(connection, "modelwidgets-panel");
  app.shell.add(panel, "left", { rank: 700, type: "Models" });
  restorer?.add(panel, panel.id);

  const open = () => app.shell.activateById(panel.id);
  const failed = (error: unknown) => void Notification.error(error instanceof Error ? error.message : `${error}`);
  const commands: Record<string, { label: string; caption?: string; execute: () => unknown }> = {
    "modelwidgets:open": { label: "Models", caption: "Show the local models", execute: open },
    "modelwidgets:open-main": {
      label: "Open Models in the Main Area",
      execute: () => {
        const content = new Panel(connection, `modelwidgets-main-${Date.now()}`);
        const widget = new MainAreaWidget({ content });
        widget.title.label = "Models";
        widget.title.icon = icon;
        app.shell.add(widget, "main");
        app.shell.activateById(widget.id);
      },
    },
    "modelwidgets:pull": {
      label: "Pull a Model…",
      execute: async () => {
        const { value } = await InputDialog.getText({
          title: "Pull a model",
          label: "Name, such as llama3.2:3b or hf.co/org/repo:Q4_K_M",
          okLabel: "Pull",
        });
        if (!value) return;
        open();
        await connection.call("pull", { name: value.trim() });
      },
    },
    "modelwidgets:start-service": {
      label: "Start the Service",
      execute: () => connection.call("start_service", {}),
    },
    "modelwidgets:refresh": { label: "Refresh the Models", execute: () => connection.call("refresh", {}) },
  };
  for (const [id, { label, caption, execute }] of Object.entries(commands)) {
    app.commands.addCommand(id, {
      label,
      caption: caption ?? label,
      icon: id.startsWith("modelwidgets:open") ? icon : undefined,
      execute: async () => {
        try {
          await execute();
        } catch (error) {
          failed(error);
        }
      },
    });
    palette?.addItem({ command: id, category: CATEGORY });
  }
  launcher?.add({ command: "modelwidgets:open-main", category: "Other" });

  let item: { dispose(): void } | null = null;
  const showStatus = (wanted: boolean) => {
    if (wanted && item === null && statusBar) {
      item = statusBar.registerStatusItem(`${ID}:status`, {
        item: new StatusItem(connection, open),
        align: "left",
        rank: 80,
      });
    } else if (!wanted) {
      item?.dispose();
      item = null;
    }
  };
  if (settings === null) {
    showStatus(true);
    return;
  }
  settings.load(ID).then(
    (found) => {
      let looksAt = "";
      const update = () => {
        showStatus(found.get("statusBar").composite !== false);
        const url = found.get("serverUrl").composite;
        if (typeof url === "string" && url !== looksAt) {
          looksAt = url;
          if (url) connection.call("connect", { url }).catch(failed);
        }
      };
      found.changed.connect(update);
      update();
    },
    (error) => {
      showStatus(true);
      failed(error);
    },
  );
}
export default plugin;
