import {
  CallError,
  type Calls,
  type Change,
  type Connection,
  type Host,
  type LaterPart,
  type Method,
  type Options,
} from "../src/host";
import type { SliceName, Slices } from "../src/host";
import * as later from "../src/later";
import { EMPTY } from "../src/store";
import * as say from "../src/strings";
import { PAGE_VERSION } from "../src/version";

/** What a fake kernel answers; a call without an entry is never answered. */
export type Answers = { [M in Method]?: (params: Calls[M]["params"]) => Calls[M]["value"] };

/** A host without a kernel, for the gallery and the tests. */
export class FakeHost implements Host {
  connection: Connection;
  options: Options;
  version: string | null = PAGE_VERSION;
  failure: CallError | null = null;
  later: LaterPart | null = later;
  readonly lost = { mark: say.notLive, reason: say.lost };
  readonly memory = new Map<string, unknown>();
  /** All calls so far. */
  readonly calls: { method: Method; params: unknown }[] = [];

  private slices: Slices;
  private readonly listeners = new Set<(what: Change) => void>();

  constructor(
    slices: Partial<Slices> = {},
    options: Partial<Options> = {},
    readonly answers: Answers = {},
    connection: Connection = "open",
  ) {
    this.slices = { ...EMPTY.slices, ...slices };
    this.options = { view: "manager", tab: "installed", only: "", selected: "", ...options };
    this.connection = connection;
    if (connection === "opening") this.version = null;
  }

  get<N extends SliceName>(name: N): Slices[N] {
    return this.slices[name];
  }

  set<N extends SliceName>(name: N, value: Slices[N]): void {
    this.slices = { ...this.slices, [name]: value };
    for (const listener of [...this.listeners]) listener(name);
  }

  on(_event: "change", listener: (what: Change) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  async load(): Promise<LaterPart> {
    return (this.later ??= later);
  }

  async call<M extends Method>(method: M, params: Calls[M]["params"]): Promise<Calls[M]["value"]> {
    this.calls.push({ method, params });
    const answer = this.answers[method];
    return answer ? answer(params) : new Promise(() => {});
  }
}

/** An answer that is an error of the kernel. */
export function refuse(kind: string, message: string): () => never {
  return () => {
    throw new CallError(kind, message);
  };
}
