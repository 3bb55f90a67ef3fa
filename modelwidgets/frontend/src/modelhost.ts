/** What the doors share: turns the messages of a model into a `Host`, one for each view. */
import {
  CallError,
  type Calls,
  type Change,
  type Connection,
  type Host,
  type LaterPart,
  type Method,
  type Off,
  type Options,
} from "./host";
import type { SliceName, Slices } from "./host";
import { EMPTY, type PatchMessage, type SliceMessage, apply } from "./store";
import * as say from "./strings";

/** The part of anywidget's model that is used here; the panel's socket looks the same. */
export interface Model {
  get(name: string): unknown;
  send(content: object): void;
  on(event: string, listener: (message: Message) => void): void;
  off(event: string, listener: (message: Message) => void): void;
}

/** What differs from door to door. */
export interface Way {
  /** What to say while the other side is gone. */
  readonly lost: Off;
  /** The later part, if this page has it. */
  readonly later: LaterPart | null;
  /** Fetches it. */
  load(host: Pick<Host, "call">): Promise<LaterPart>;
}

interface ReplyMessage {
  op: "reply";
  id: number;
  ok: boolean;
  value?: unknown;
  error?: { kind: string; message: string };
}

export type Message = SliceMessage | PatchMessage | ReplyMessage;

interface Pending {
  resolve: (value: never) => void;
  reject: (error: CallError) => void;
}

/** After this silence the page asks whether the kernel takes calls at all. */
const PATIENCE_MS = 2000;
/** After this silence to that question it says that it waits. */
const PROBE_MS = 1000;
const TRAITS = ["view", "tab", "only", "selected"] as const;

/**
 * The other side of one model.
 *
 * Why the probe: a slow answer is no sign of a busy kernel (a registry is asked, a server starts), and a
 * busy kernel must not look like a failure. So after a while a call goes out whose answer is always
 * quick; only where that too stays unanswered, the page says that it waits.
 */
export class ModelHost implements Host {
  connection: Connection = "opening";
  options: Options;
  version: string | null = null;
  failure: CallError | null = null;
  later: LaterPart | null;
  readonly lost: Off;

  #store = EMPTY;
  readonly #listeners = new Set<(what: Change) => void>();
  readonly #pending = new Map<number, Pending>();
  // All views of a model hear all replies, so their ids must not meet.
  #lastId = Math.floor(Math.random() * 2 ** 40);
  #timer: ReturnType<typeof setTimeout> | undefined;
  #helloId: number | null = null;
  // What the kernel was last told; a widget may stand on the page more than once.
  #seen = { visible: false, view: Math.random().toString(36).slice(2) };
  readonly #undo: () => void;

  constructor(
    private readonly model: Model,
    private readonly way: Way,
    readonly memory = new Map<string, unknown>(),
  ) {
    this.later = way.later;
    this.lost = way.lost;
    this.options = this.#readOptions();
    const onMessage = (message: Message) => this.#receive(message);
    const onTrait = () => {
      this.options = this.#readOptions();
      this.#tellListeners("options");
    };
    const onLiveness = () => this.#lose();
    const events: [string, (message: Message) => void][] = [
      ["msg:custom", onMessage],
      ["comm_live_update", onLiveness],
      ...TRAITS.map((trait): [string, () => void] => [`change:${trait}`, onTrait]),
    ];
    for (const [event, listener] of events) model.on(event, listener);
    this.#undo = () => {
      for (const [event, listener] of events) model.off(event, listener);
    };
    this.#greet();
  }

  get<N extends SliceName>(name: N): Slices[N] {
    return this.#store.slices[name];
  }

  on(_event: "change", listener: (what: Change) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async call<M extends Method>(method: M, params: Calls[M]["params"]): Promise<Calls[M]["value"]> {
    if (this.connection === "lost") throw new CallError("ConnectionLost", this.lost.reason);
    if (method === "hello") return this.#hello() as Promise<Calls[M]["value"]>;
    if (!("visible" in params)) return this.#send(method, params);
    this.#seen = { ...this.#seen, visible: params.visible };
    return this.#send(method, this.#seen);
  }

  async load(): Promise<LaterPart> {
    const had = this.later;
    this.later ??= await this.way.load(this);
    if (!had) this.#tellListeners("later");
    return this.later;
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#undo();
    this.#listeners.clear();
  }

  #send<M extends Method>(method: M, params: Calls[M]["params"]): Promise<Calls[M]["value"]> {
    const id = ++this.#lastId;
    if (method === "hello") this.#helloId = id;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      try {
        this.model.send({ op: "call", id, method, params });
        this.#watch();
      } catch (error) {
        this.#pending.delete(id);
        reject(new CallError("ConnectionLost", `${this.lost.reason} (${error})`));
      }
    });
  }

  #receive(message: Message): void {
    if (message.op === "reply") {
      this.#settle(message);
      return;
    }
    if (this.connection !== "waiting") this.#become("open");
    const { store, changed, gap } = apply(this.#store, message);
    this.#store = store;
    if (changed) this.#tellListeners(changed);
    if (gap) this.#greet();
  }

  #settle({ id, ok, value, error }: ReplyMessage): void {
    const call = this.#pending.get(id);
    if (!call) return;
    this.#pending.delete(id);
    if (id === this.#helloId) this.#helloId = null;
    this.#become("open");
    if (ok) call.resolve(value as never);
    else call.reject(new CallError(error?.kind ?? "Error", error?.message ?? say.unknown));
  }

  /** Ask for everything, at first and whenever something of it was missed. */
  #greet(): void {
    if (this.#helloId === null) this.#hello().catch(() => {}); // the view shows `failure`
  }

  async #hello(): Promise<Calls["hello"]["value"]> {
    try {
      const answer = await this.#send("hello", {});
      this.version = answer.version;
      this.failure = null;
      return answer;
    } catch (error) {
      // a way that was cut is told by the connection
      this.failure = error instanceof CallError && error.kind !== "ConnectionLost" ? error : null;
      throw error;
    } finally {
      this.#tellListeners("connection");
    }
  }

  /**
   * The way to the kernel was cut or mended; which of them is not told. So what was asked is given up,
   * and a hello finds out whether anybody is there.
   */
  #lose(): void {
    this.#become("lost");
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const call of this.#pending.values()) call.reject(new CallError("ConnectionLost", this.lost.reason));
    this.#pending.clear();
    this.#helloId = null;
    this.#greet();
  }

  #watch(): void {
    this.#timer ??= setTimeout(() => this.#probe(), PATIENCE_MS);
  }

  #probe(): void {
    this.#timer = undefined;
    if (this.#pending.size === 0 || this.connection === "lost" || this.connection === "waiting") return;
    let answered = false;
    const done = () => {
      answered = true;
    };
    this.#send("visible", this.#seen).then(done, done);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (!answered) this.#become("waiting");
      else if (this.#pending.size > 0) this.#watch();
    }, PROBE_MS);
  }

  #become(connection: Connection): void {
    if (connection === this.connection) return;
    this.connection = connection;
    if (connection === "open" && this.#pending.size > 0) this.#watch();
    this.#tellListeners("connection");
  }

  #tellListeners(what: Change): void {
    for (const listener of [...this.#listeners]) listener(what);
  }

  #readOptions(): Options {
    return Object.fromEntries(TRAITS.map((trait) => [trait, this.model.get(trait)])) as unknown as Options;
  }
}
