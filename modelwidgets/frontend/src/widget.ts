/**
 * Door 1: a notebook cell. Turns the messages of an anywidget model into a `Host`.
 *
 * Each view has a host of its own: anywidget gives views no common place, and a hello costs nothing.
 */
import { CallError, type Calls, type Change, type Connection, type Host, type Method, type Options } from "./host";
import type { SliceName, Slices } from "./host";
import { mount } from "./mount";
import { EMPTY, type PatchMessage, type SliceMessage, apply } from "./store";
import { strings as say } from "./strings";

/** The part of anywidget's model that is used here. */
export interface Model {
  get(name: string): unknown;
  send(content: object): void;
  on(event: string, listener: (message: never) => void): void;
  off(event: string, listener: (message: never) => void): void;
}

interface ReplyMessage {
  op: "reply";
  id: number;
  ok: boolean;
  value?: unknown;
  error?: { kind: string; message: string };
}

type Message = SliceMessage | PatchMessage | ReplyMessage;

interface Pending {
  resolve: (value: never) => void;
  reject: (error: CallError) => void;
  sentAt: number;
}

/** How long a call may be silent before the page asks whether the kernel listens at all. */
const PATIENCE_MS = 2000;
/** How long that question may be silent before the page says that it waits. */
const PROBE_MS = 1000;
const TRAITS = ["view", "tab", "only", "selected"] as const;

/** The host of one view, and how to end it. */
export function widgetHost(model: Model): Host & { close: () => void } {
  const listeners = new Set<(what: Change) => void>();
  const pending = new Map<number, Pending>();
  // All views of a model hear all replies: ids must differ between views too.
  let lastId = Math.floor(Math.random() * 2 ** 40);
  let store = EMPTY;
  let connection: Connection = "opening";
  let options = readOptions(model);
  let version: string | null = null;
  let probe: ReturnType<typeof setTimeout> | undefined;
  let askedAgain = false;

  const changed = (what: Change) => {
    for (const listener of [...listeners]) listener(what);
  };
  const become = (next: Connection) => {
    if (next === connection) return;
    connection = next;
    changed("connection");
  };

  const post = <M extends Method>(method: M, params: Calls[M]["params"]) =>
    new Promise<Calls[M]["value"]>((resolve, reject) => {
      const id = ++lastId;
      pending.set(id, { resolve, reject, sentAt: Date.now() });
      model.send({ op: "call", id, method, params });
      watch(PATIENCE_MS);
    });

  const hello = () =>
    post("hello", {}).then(
      (value) => {
        version = value.version;
        changed("connection");
      },
      (error) => console.warn("modelwidgets: hello:", error),
    );

  /**
   * A slow call is no sign of a busy kernel (a registry is asked, a server starts). So after a while a
   * call is sent that is always quick; only if that too stays unanswered, the page says that it waits.
   */
  const watch = (afterMs: number) => {
    probe ??= setTimeout(() => {
      probe = undefined;
      if (pending.size === 0 || connection === "lost") return;
      const id = ++lastId;
      pending.set(id, { resolve: heard, reject: heard, sentAt: Date.now() });
      model.send({ op: "call", id, method: "hello", params: {} });
      probe = setTimeout(() => {
        probe = undefined;
        if (pending.has(id)) become("waiting");
        else if (pending.size > 0) watch(PATIENCE_MS);
      }, PROBE_MS);
    }, afterMs);
  };
  const heard = () => {};
  return null as never;
}
