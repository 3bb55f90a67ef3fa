/** Door 2: a panel of JupyterLab. Its model is a socket to the manager in the Jupyter server. */
import * as format from "./format";
import type { Host, Options } from "./host";
import { type Message, type Model, ModelHost, type Way } from "./modelhost";
import { mount } from "./mount";
import * as say from "./strings";

/** The part of a browser's `WebSocket` that is used here. */
export interface Socket {
  readonly readyState: number;
  send(text: string): void;
  close(): void;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: MessageEvent) => void) | null;
  onclose: ((event: never) => void) | null;
}

const OPEN = 1;
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 30_000;

type Listener = (message: Message) => void;

/**
 * One socket for all that this page shows; what it hears all of its views hear.
 *
 * It opens again by itself, at first soon, then ever less often, and at once when the page comes back
 * into sight or the network does.
 */
export class SocketModel {
  readonly #listeners = new Map<string, Set<Listener>>();
  readonly #open: () => Socket;
  readonly #leave = new AbortController();
  #socket: Socket | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #wait = FIRST_RETRY_MS;

  constructor(open: () => Socket) {
    this.#open = open;
    const { signal } = this.#leave;
    const soon = () => document.visibilityState === "visible" && this.#timer !== undefined && this.#connect();
    document.addEventListener("visibilitychange", soon, { signal });
    window.addEventListener("online", soon, { signal });
    this.#connect();
  }

  /** Throws where nobody would hear it. */
  send(content: object): void {
    if (this.#socket?.readyState !== OPEN) throw new Error(say.noSocket);
    this.#socket.send(JSON.stringify(content));
  }

  on(event: string, listener: Listener): void {
    const all = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, all.add(listener));
  }

  off(event: string, listener: Listener): void {
    this.#listeners.get(event)?.delete(listener);
  }

  close(): void {
    this.#leave.abort();
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  #connect(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const socket = this.#open();
    this.#socket = socket;
    socket.onopen = () => {
      this.#wait = FIRST_RETRY_MS;
      this.#tell("comm_live_update");
    };
    socket.onmessage = ({ data }) => this.#tell("msg:custom", JSON.parse(data));
    socket.onclose = () => {
      if (this.#socket !== socket) return;
      this.#tell("comm_live_update");
      this.#timer = setTimeout(() => this.#connect(), this.#wait * (0.75 + Math.random() / 2));
      this.#wait = Math.min(this.#wait * 2, LONGEST_RETRY_MS);
    };
  }

  #tell(event: string, message = {} as Message): void {
    for (const listener of [...(this.#listeners.get(event) ?? [])]) listener(message);
  }
}

const WAY: Way = {
  lost: { mark: say.notLive, reason: say.noJupyter },
  later: null,
  load: () => import("./later"),
};

/** What one view of the socket is; what it chooses is its own. */
class ViewModel implements Model {
  readonly #options: Options;

  constructor(
    private readonly socket: SocketModel,
    options: Partial<Options>,
  ) {
    this.#options = { view: "manager", tab: "installed", only: "", selected: "", ...options };
  }

  get(name: string): unknown {
    return this.#options[name as keyof Options];
  }
  send(content: object): void {
    this.socket.send(content);
  }
  on(event: string, listener: Listener): void {
    this.socket.on(event, listener);
  }
  off(event: string, listener: Listener): void {
    this.socket.off(event, listener);
  }
}

/** What a view of the socket shows and asks, without drawing anything. */
export function hostOf(socket: SocketModel, options: Partial<Options> = {}): Host & { close(): void } {
  return new ModelHost(new ViewModel(socket, options), WAY);
}

/** Draws the manager into an element; answers how to undo that. */
export function show(el: HTMLElement, socket: SocketModel, options: Partial<Options> = {}): () => void {
  const host = hostOf(socket, options);
  const unmount = mount(el, host);
  return () => {
    unmount();
    host.close();
  };
}

/** How it stands, in few words: for a status bar. */
export function inShort(host: Host): { text: string; title: string; state: string } {
  const service = host.get("service");
  const active = host.get("pulls").filter(({ state }) => state === "running");
  if (host.connection === "lost") return { text: say.notLive, title: host.lost.reason, state: "lost" };
  if (service === null) return { text: say.shortOpening, title: say.loading, state: "opening" };
  if (service.state !== "running") {
    return { text: say.shortService(service.state), title: service.reason ?? service.url, state: service.state };
  }
  if (active.length > 0) {
    const sums = active.map(({ completed_bytes, total_bytes }) => [completed_bytes, total_bytes ?? 0] as const);
    const done = sums.reduce((sum, [part]) => sum + part, 0);
    const total = sums.reduce((sum, [, all]) => sum + all, 0);
    const names = active.map(({ name }) => name).join(", ");
    return { text: say.shortPulling(total > 0 ? format.percent(done, total) : ""), title: names, state: "pulling" };
  }
  return { text: say.shortRunning(host.get("installed").models.length), title: service.url, state: "running" };
}
