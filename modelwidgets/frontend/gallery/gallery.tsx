/**
 * Draws one state of the views: `index.html?state=installed&theme=dark&width=330`; without a state, the
 * list of them. `window.gallery` lets a test look behind the page.
 */
import { mount } from "../src/mount";
import type { FakeHost } from "./fake";
import { STATES, type Hand } from "./states";

declare global {
  interface Window {
    gallery: { states: string[]; host?: FakeHost; unmount?: () => void };
  }
}

const query = new URLSearchParams(location.search);
document.body.dataset["theme"] = query.get("theme") ?? "light";
window.gallery = { states: STATES.map(({ id }) => id) };

const state = STATES.find(({ id }) => id === query.get("state"));
if (state) {
  show().catch((error) => {
    document.body.dataset["ready"] = String(error);
  });
} else list();

async function show() {
  const el = document.createElement("div");
  el.style.width = `${query.get("width") ?? 930}px`;
  document.body.append(el);
  const host = state?.host() as FakeHost;
  window.gallery.host = host;
  window.gallery.unmount = mount(el, host);
  await settled();
  await state?.act?.(handOn(el));
  document.body.dataset["ready"] = "yes";
}

function list() {
  for (const { id } of STATES) {
    const link = document.createElement("a");
    link.href = `?${new URLSearchParams({ ...Object.fromEntries(query), state: id })}`;
    link.textContent = id;
    document.body.append(link, document.createElement("br"));
  }
  document.body.dataset["ready"] = "yes";
}

function handOn(el: HTMLElement): Hand {
  const visible = (found: HTMLElement) => found.offsetParent !== null;
  const nameOf = (found: HTMLElement) => found.getAttribute("aria-label") ?? found.textContent ?? "";
  return {
    async click(name) {
      const all = [...el.querySelectorAll<HTMLElement>("button, summary")].filter(visible);
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
  for (let turn = 0; turn < 3; turn++) {
    await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve, 0)));
  }
}
