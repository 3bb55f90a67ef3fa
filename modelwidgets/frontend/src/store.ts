import type { SliceName, Slices } from "./host";
import type { FitMarks } from "./records";
import { sharing } from "./sharing";

/** A message that replaces a slice. */
export interface SliceMessage {
  op: "slice";
  name: string;
  rev: number;
  value: unknown;
}

/**
 * A message that changes some fields of some rows, by their ids; a row that is new comes whole. The rows
 * of `fits` are its marks, by name, and come whole.
 */
export interface PatchMessage {
  op: "patch";
  name: string;
  rev: number;
  rows: Record<string, Record<string, unknown>>;
  /** All rows in their order, where some came, went or moved. */
  ids?: string[];
}

/** The slices as the page has them, with the revision of each that was ever sent. */
export interface Store {
  readonly slices: Slices;
  readonly revs: { readonly [name in SliceName]?: number };
}

export const EMPTY: Store = {
  slices: {
    service: null,
    devices: null,
    gpu_memory: [],
    installed: { models: [], as_of: null, stale: null, deleting: [] },
    running: [],
    pulls: [],
    catalog: null,
    fits: null,
    disk: null,
    notices: [],
  },
  revs: {},
};

export interface Outcome {
  store: Store;
  changed: SliceName | null;
  /** A message is missing: what the page has of this slice can no longer be patched. */
  gap: boolean;
}

/**
 * What a message makes of the store.
 *
 * A whole slice is always right, also with a smaller revision (the other side began anew). A patch is
 * right only directly after the revision that the page has. Rows that did not change keep their
 * identity, so that a view can tell what changed.
 */
export function apply(store: Store, message: SliceMessage | PatchMessage): Outcome {
  const name = message.name;
  if (!isSlice(name)) return { store, changed: null, gap: false };
  if (message.op === "slice") {
    return done(store, name, message.rev, sharing(store.slices[name], message.value));
  }
  const known = store.revs[name];
  if (known !== undefined && message.rev <= known) return { store, changed: null, gap: false };
  const rows = patched(store.slices[name], message);
  if (message.rev - 1 !== known || !rows) return { store, changed: null, gap: true };
  return done(store, name, message.rev, rows);
}

function done(store: Store, name: SliceName, rev: number, value: unknown): Outcome {
  const slices = { ...store.slices, [name]: value };
  return { store: { slices, revs: { ...store.revs, [name]: rev } }, changed: name, gap: false };
}

/** The slice after a patch; null where it speaks of rows that are not there. */
function patched(rows: unknown, { rows: changes, ids }: PatchMessage): unknown {
  const { marks } = (rows ?? {}) as Partial<FitMarks>;
  if (marks && changes) return { ...(rows as FitMarks), marks: { ...marks, ...changes } };
  if (!Array.isArray(rows) || !changes) return null; // a kernel of another version has other patches
  const byId = new Map<string, { id?: unknown }>(rows.map((row) => [row.id, row]));
  for (const [id, fields] of Object.entries(changes)) {
    const row = { ...byId.get(id), ...fields };
    if (row.id !== id) return null;
    byId.set(id, row);
  }
  const next = (ids ?? [...byId.keys()]).map((id) => byId.get(id));
  return next.includes(undefined) ? null : next;
}

function isSlice(name: string): name is SliceName {
  return Object.hasOwn(EMPTY.slices, name);
}
