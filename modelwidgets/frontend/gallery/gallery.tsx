/**
 * Draws one state of the views: `index.html?state=installed&theme=dark`; without a state, the
 * list of them. Scripts change the state through `window.gallery`.
 */
import { mount } from "../src/mount";
import type { FakeHost } from "./fake";
import type { Hand } from "./hand";
import { STATES } from "./states";

interface Gallery {
  states: string[];
  /** Draw a state in place of the one before; this browser remembers nothing of that one. */
  show: (id: string, theme: string, options?: { keep?: boolean }) => Promise<void>;
  /** Draw the same view anew, as when its cell is moved. */
  remount: () => Promise<void>;
  host?: FakeHost;
  unmount?: () => void;
}

declare global {
  interface Window {
    gallery: Gallery;
  }
}

const gallery: Gallery = { states: STATES.map(({ id }) => id), show, remount };
window.gallery = gallery;

const query = new URLSearchParams(location.search);
const wanted = query.get("state");
if (wanted) void show(wanted, query.get("theme") ?? "light", { keep: true });
else list();

async function show(id: string, theme: string, { keep = false } = {}): Promise<void> {
  const state = STATES.find((one) => one.id === id);
  if (!state) throw new Error(`there is no state ${id}`);
  gallery.unmount?.();
  if (!keep) localStorage.clear();
  const el = document.createElement("div");
  document.body.replaceChildren(el);
  document.body.dataset["theme"] = theme;
  gallery.host = state.host();
  gallery.unmount = mount(el, gallery.host);
  await settled();
  await state.act?.(handOn(el));
}

async function remount(): Promise<void> {
  gallery.unmount?.();
  const el = document.createElement("div");
  document.body.replaceChildren(el);
  gallery.unmount = mount(el, gallery.host as FakeHost);
  await settled();
}

function list() {
  for (const id of gallery.states) {
    const link = document.createElement("a");
    link.href = `?${new URLSearchParams({ ...Object.fromEntries(query), state: id })}`;
    link.textContent = id;
    document.body.append(link, document.createElement("br"));
  }
}

function handOn(el: HTMLElement): Hand {
  const visible = (found: HTMLElement) => found.offsetParent !== null;
  const nameOf = (found: HTMLElement) =>
    found.getAttribute("aria-label") ?? (found.textContent || found.closest("label")?.textContent?.trim()) ?? "";
  return {
    async click(name) {
      const all = [...el.querySelectorAll<HTMLElement>("button, summary, input[type=checkbox], input[type=radio]")].filter(visible);
      const exact = all.findLast((one) => nameOf(one) === name || one.textContent?.trim() === name);
      const found = exact ?? all.findLast((one) => nameOf(one).startsWith(name));
      if (!found) throw new Error(`nothing to click is called ${name}`);
      found.click();
      await settled();
    },
    async type(label, text) {
      const fields = [...el.querySelectorAll<HTMLInputElement>("input")].filter(visible);
      const found = fields.find((one) => nameOf(one) === label || one.labels?.[0]?.textContent === label);
      if (!found) throw new Error(`no field is called ${label}`);
      found.value = text;
      found.dispatchEvent(new Event("input", { bubbles: true }));
      await settled();
    },
  };
}

/** Effects have run and the page has been drawn. */
async function settled() {
  for (let turn = 0; turn < 2; turn++) {
    await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve, 0)));
  }
}
