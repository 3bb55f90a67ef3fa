/** The way from anywhere in the view to the row of a model, also to a table that is not drawn yet. */
import { useEffect } from "preact/hooks";

import type { Host } from "./host";

type Show = (name: string) => void;

const listeners = new WeakMap<Host, Set<Show>>();
const waiting = new WeakMap<Host, string>();

/** Ask whoever shows installed models to show this one. */
export function showModel(host: Host, name: string): void {
  waiting.set(host, name);
  for (const show of [...(listeners.get(host) ?? [])]) show(name);
}

/** Hear of models to show; the table that `shows` them also hears what was asked before it was there. */
export function useShowModel(host: Host, show: Show, shows = false): void {
  useEffect(() => {
    const all = listeners.get(host) ?? new Set();
    listeners.set(host, all);
    const take = (name: string) => {
      if (shows) waiting.delete(host);
      show(name);
    };
    all.add(take);
    const asked = waiting.get(host);
    if (shows && asked !== undefined) take(asked);
    return () => {
      all.delete(take);
    };
  });
}
