import { useMemo, useRef } from "preact/hooks";

import { useKept } from "./hooks";
import type { Host } from "./host";

/** The rows that somebody marked to do something with all of them. */
export interface Selection {
  keys: ReadonlySet<string>;
  actions: SelectionActions;
}

/** They stay the same as long as the view lives, so that rows need not be drawn again for them. */
export interface SelectionActions {
  /** Mark a row, or take its mark away. */
  toggle: (key: string) => void;
  /** Mark all rows from the one last toggled to this one, in the order in which they are shown. */
  extend: (key: string, from: string, shown: readonly string[]) => void;
  /** Mark all of these, or where all are marked none of them. */
  toggleAll: (keys: readonly string[]) => void;
  drop: (keys: Iterable<string>) => void;
  clear: () => void;
}

/** Where a range begins, and what was marked before it. */
interface Anchor {
  key: string;
  before: ReadonlySet<string>;
}

/**
 * A selection that outlives refreshes, sorting, filters and moves of the cell.
 *
 * The mark of a row that is not there is kept but not selected, because a list may be away for a while.
 */
export function useSelection<Row>(
  host: Host,
  view: string,
  rows: readonly Row[],
  keyOf: (row: Row) => string,
): Selection {
  const [marked, setMarked] = useKept<ReadonlySet<string>>(host, `${view} selection`, new Set());
  const anchor = useRef<Anchor | null>(null);
  const actions = useMemo((): SelectionActions => {
    const set = (change: (keys: Set<string>) => void) =>
      setMarked((before) => {
        const keys = new Set(before);
        change(keys);
        return keys;
      });
    return {
      toggle: (key) =>
        setMarked((before) => {
          const keys = new Set(before);
          if (!keys.delete(key)) keys.add(key);
          anchor.current = { key, before: keys };
          return keys;
        }),
      extend: (key, from, shown) =>
        setMarked((before) => {
          const begin = anchor.current && shown.includes(anchor.current.key) ? anchor.current : null;
          anchor.current = begin ?? { key: from, before };
          return new Set([...anchor.current.before, ...between(shown, anchor.current.key, key)]);
        }),
      toggleAll: (keys) =>
        set((marks) => {
          const all = keys.every((key) => marks.has(key));
          for (const key of keys) {
            if (all) marks.delete(key);
            else marks.add(key);
          }
          anchor.current = null;
        }),
      drop: (keys) =>
        set((marks) => {
          for (const key of keys) marks.delete(key);
          anchor.current = null;
        }),
      clear: () =>
        set((marks) => {
          marks.clear();
          anchor.current = null;
        }),
    };
  }, []);
  const there = useMemo(() => new Set(rows.map(keyOf)), [rows]);
  const keys = useMemo(() => new Set([...marked].filter((key) => there.has(key))), [marked, there]);
  return { keys, actions };
}

/** The part of a list from one of its entries to another, both included, whichever comes first. */
export function between(list: readonly string[], one: string, other: string): readonly string[] {
  const [from, to] = [list.indexOf(one), list.indexOf(other)];
  return list.slice(Math.min(from, to), Math.max(from, to) + 1);
}
