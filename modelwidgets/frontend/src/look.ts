/** How somebody wants a table to look: its columns, its order, its density. */
import { useMemo, useState } from "preact/hooks";

import type { Column, Sort } from "./columns";
import type { Host } from "./host";

export interface Look {
  sort: Sort;
  /** What somebody chose, by id; the others are as the column says. */
  columns: Readonly<Record<string, boolean>>;
  compact: boolean;
}

export interface Looks<Row> extends Look {
  /** All columns that there are. */
  all: readonly Column<Row>[];
  /** Those to draw. */
  shown: readonly Column<Row>[];
  change: (part: Partial<Look>) => void;
  /** As it was at first; null where it is so. */
  reset: (() => void) | null;
}

/** The look of one view, remembered for this browser. */
export function useLook<Row>(
  host: Host,
  view: string,
  all: readonly Column<Row>[],
  firstSort: Sort,
): Looks<Row> {
  const [look, setLook] = useState(() => remembered(host, view, firstSort));
  const keep = (next: Look) => {
    setLook(next);
    remember(host, view, next);
  };
  const shown = useMemo(() => all.filter((column) => isShown(column, look)), [all, look.columns]);
  // The order may be that of a column which is gone from the page or from this version.
  const sort = all.some(({ id, order }) => order && id === look.sort.column) ? look.sort : firstSort;
  const first: Look = { sort: firstSort, columns: {}, compact: false };
  const same = JSON.stringify({ ...look, sort }) === JSON.stringify(first);
  return {
    ...look,
    sort,
    all,
    shown,
    change: (part) => keep({ ...look, ...part }),
    reset: same ? null : () => keep(first),
  };
}

export function isShown(column: Column<never>, look: Pick<Look, "columns">): boolean {
  return look.columns[column.id] ?? !column.optional;
}

const PREFIX = "modelwidgets.look.";

function remembered(host: Host, view: string, sort: Sort): Look {
  const text = inBrowser((storage) => storage.getItem(PREFIX + view));
  // The host's memory stands in where a page may not use the browser's, as in some hosts' frames.
  return readLook(text ?? (host.memory.get(PREFIX + view) as string | undefined) ?? null, {
    sort,
    columns: {},
    compact: false,
  });
}

function remember(host: Host, view: string, look: Look): void {
  const text = JSON.stringify(look);
  host.memory.set(PREFIX + view, text);
  inBrowser((storage) => storage.setItem(PREFIX + view, text));
}

/** Null where the browser has no memory for this page: merely asking for it may throw then. */
function inBrowser<T>(use: (storage: Storage) => T): T | null {
  try {
    const storage = globalThis.window?.localStorage;
    return storage ? use(storage) : null;
  } catch (error) {
    console.debug("modelwidgets: this browser does not remember how tables look:", error);
    return null;
  }
}

/** A look as it was written down; what of it cannot be read is as at first. */
export function readLook(text: string | null, first: Look): Look {
  const { sort, columns, compact } = parsed(text);
  return {
    sort: isSort(sort) ? { column: sort.column, down: sort.down } : first.sort,
    columns: Object.fromEntries(
      Object.entries(columns ?? {}).filter(([, shown]) => typeof shown === "boolean"),
    ) as Record<string, boolean>,
    compact: compact === true,
  };
}

function parsed(text: string | null): { sort?: unknown; columns?: object; compact?: unknown } {
  try {
    const value: unknown = JSON.parse(text ?? "{}");
    return typeof value === "object" && value !== null ? value : {};
  } catch {
    return {};
  }
}

function isSort(sort: unknown): sort is Sort {
  const { column, down } = (sort ?? {}) as Partial<Sort>;
  return typeof column === "string" && typeof down === "boolean";
}
