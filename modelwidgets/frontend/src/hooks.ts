import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

import {
  CallError,
  type Calls,
  type Change,
  type Connection,
  type Host,
  type Method,
  type Off,
  type Options,
} from "./host";
import type { SliceName, Slices } from "./host";
import { nameKey } from "./names";
import type { PullProgress } from "./records";
import * as say from "./strings";

/** A slice of the state; the view is drawn again whenever that slice changes. */
export function useSlice<N extends SliceName>(host: Host, name: N): Slices[N] {
  return useHost(host, name, () => host.get(name));
}

export function useConnection(host: Host): Connection {
  return useHost(host, "connection", () => host.connection);
}

/** Version of the Python side; null until it has answered. */
export function useVersion(host: Host): string | null {
  return useHost(host, "connection", () => host.version);
}

/** Why the other side could not start; null while nothing is known to have failed. */
export function useFailure(host: Host): CallError | null {
  return useHost(host, "connection", () => host.failure);
}

export function useOptions(host: Host): Options {
  return useHost(host, "options", () => host.options);
}

/** The pull of a name that matters most now; other pulls draw nothing again. */
export function usePull(host: Host, name: string): PullProgress | undefined {
  return useHost(host, "pulls", () => pullOf(host.get("pulls"), name));
}

const STOPPED: Off = { mark: say.serviceStopped, reason: say.serviceStopped };

/** Null while there is a kernel to take commands. */
export function useLost(host: Host): Off | null {
  return useConnection(host) === "lost" ? host.lost : null;
}

/** Null while commands to the service are on. */
export function useOff(host: Host): Off | null {
  const lost = useLost(host);
  const service = useSlice(host, "service");
  return lost ?? (service === null || service.state === "running" ? null : STOPPED);
}

/** A listener to keys that closes something, and keeps the key from what is around it. */
export function onEscape(close: () => void): (event: KeyboardEvent) => void {
  return (event) => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation();
    close();
  };
}

/** The time now, renewed every half minute, for "2 hours ago". */
export function useNow(): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 30_000);
    return () => clearInterval(timer);
  }, []);
  return now;
}

/**
 * State that is still there when the same view is drawn anew, because its cell was moved. It dies
 * with the page; what should outlive that belongs elsewhere.
 */
export function useKept<T>(
  host: Host,
  key: string,
  initial: T,
): [T, (next: T | ((before: T) => T)) => void] {
  const [value, setValue] = useState<T>(() => (host.memory.has(key) ? (host.memory.get(key) as T) : initial));
  const set = useCallback(
    (next: T | ((before: T) => T)) =>
      setValue((before) => {
        const now = typeof next === "function" ? (next as (before: T) => T)(before) : next;
        host.memory.set(key, now);
        return now;
      }),
    [host, key],
  );
  return [value, set];
}

/** An id that no other view of the page has; a page may hold many of our views. */
export function useUniqueId(): string {
  return useState(() => `mw-${Math.random().toString(36).slice(2)}`)[0];
}

export interface CallState {
  busy: boolean;
  error: CallError | null;
}

export type Answer<Value> = { value: Value } | { error: CallError };

export interface Command extends CallState {
  /** Send the call; null where one of this command is under way already. */
  run<M extends Method>(method: M, params: Calls[M]["params"]): Promise<Answer<Calls[M]["value"]> | null>;
}

const IDLE: CallState = { busy: false, error: null };

/** One command of one place on the page: at most one call in flight, its error kept to be shown there. */
export function useCommand(host: Host): Command {
  const inFlight = useRef(false);
  const [state, setState] = useState(IDLE);
  const run: Command["run"] = async (method, params) => {
    if (inFlight.current) return null;
    inFlight.current = true;
    setState({ busy: true, error: null });
    try {
      const value = await host.call(method, params);
      setState(IDLE);
      return { value };
    } catch (thrown) {
      const error = asCallError(thrown);
      setState({ busy: false, error });
      return { error };
    } finally {
      inFlight.current = false;
    }
  };
  return { ...state, run };
}

/** Send a call whose answer nobody waits for. */
export function tell<M extends Method>(host: Host, method: M, params: Calls[M]["params"]): void {
  host.call(method, params).catch((error) => console.warn(`modelwidgets: ${method}:`, error));
}

/** The running or waiting pull of a name, else the newest one. */
export function pullOf(pulls: readonly PullProgress[], name: string): PullProgress | undefined {
  const key = nameKey(name);
  const mine = pulls.filter((pull) => nameKey(pull.name) === key);
  return mine.find(isActive) ?? mine.reduce<PullProgress | undefined>(newer, undefined);
}

export function isActive(pull: PullProgress): boolean {
  return pull.state === "queued" || pull.state === "running";
}

function newer(one: PullProgress | undefined, other: PullProgress): PullProgress {
  return one && one.created_at > other.created_at ? one : other;
}

export function asCallError(error: unknown): CallError {
  return error instanceof CallError ? error : new CallError("Error", String(error));
}

/** Something of the host; the view is drawn again when it is another value after that change. */
export function useHost<T>(host: Host, change: Change, read: () => T): T {
  const [value, setValue] = useState(read);
  const reader = useRef(read);
  reader.current = read;
  useLayoutEffect(() => {
    const update = () => setValue(() => reader.current());
    update();
    return host.on("change", (what) => what === change && update());
  }, [host, change]);
  const now = read();
  return now === value ? value : now;
}
