import { render } from "preact";

import { App } from "./app";
import { keepFocus } from "./focus";
import { tell } from "./hooks";
import type { Host } from "./host";

/** Draws the view into an element of any door; answers how to undo that. */
export function mount(el: HTMLElement, host: Host): () => void {
  const controller = new AbortController();
  el.classList.add("mw-host");
  el.addEventListener("keydown", keepShortcutsOut, { signal: controller.signal });
  keepFocus(el, controller.signal);
  const stopWatching = watchVisibility(el, host);
  render(<App host={host} />, el);
  return () => {
    controller.abort();
    stopWatching();
    render(null, el);
  };
}

/** Keys pressed in the view are not the notebook's: "d d" on a focused row would delete a cell. */
function keepShortcutsOut(event: KeyboardEvent): void {
  if (!event.ctrlKey && !event.metaKey && !event.altKey) event.stopPropagation();
}

const RENEWAL_MS = 5 * 60_000;

/** Tells the other side whether anybody can see the view, because it refreshes only then. */
function watchVisibility(el: HTMLElement, host: Host): () => void {
  const page = el.ownerDocument;
  let inSight = false;
  let told: boolean | null = null;
  let leaving = false;
  const update = () => {
    const visible = inSight && !leaving && page.visibilityState === "visible";
    if (visible === told) return;
    told = visible;
    tell(host, "visible", { visible });
  };
  // Said again now and then, because a view that went away in silence is forgotten after an hour.
  const renewal = setInterval(() => told && tell(host, "visible", { visible: true }), RENEWAL_MS);
  const onPage = ({ type }: Event) => {
    leaving = type === "pagehide";
    update();
  };
  const observer = new IntersectionObserver((entries) => {
    inSight = entries.at(-1)?.isIntersecting ?? false;
    update();
  });
  observer.observe(el);
  page.addEventListener("visibilitychange", update);
  for (const type of ["pagehide", "pageshow"]) page.defaultView?.addEventListener(type, onPage);
  return () => {
    clearInterval(renewal);
    observer.disconnect();
    page.removeEventListener("visibilitychange", update);
    for (const type of ["pagehide", "pageshow"]) page.defaultView?.removeEventListener(type, onPage);
    inSight = false;
    update();
  };
}
