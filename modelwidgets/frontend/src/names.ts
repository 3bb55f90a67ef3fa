/** Model references as `modelwidgets/names.py` reads them; the page needs them to compare and link. */

export interface ModelName {
  host: string;
  namespace: string;
  model: string;
  tag: string;
}

const DEFAULT_HOST = "registry.ollama.ai";
const DEFAULT_NAMESPACE = "library";
const HUB_HOSTS = ["hf.co", "huggingface.co"];
const LONGEST = 350 + 3 * 81 + 10;
const HOST = /^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}$/;
const NAMESPACE = /^[A-Za-z0-9_][A-Za-z0-9_-]{0,79}$/;
const PART = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}$/;

/** The parts of a name, or null where the text cannot be one. */
export function parseName(text: string): ModelName | null {
  if (!text || text.length > LONGEST || text.startsWith("hf:")) return null;
  const scheme = text.indexOf("://");
  let rest = withoutSource(scheme < 0 ? text : text.slice(scheme + 3));
  if (rest === null) return null;
  let tag = "latest";
  const colon = rest.lastIndexOf(":");
  if (colon >= 0 && !rest.includes("/", colon)) {
    tag = rest.slice(colon + 1);
    rest = rest.slice(0, colon);
  }
  const parts = rest.split("/");
  if (parts.length > 3) return null;
  const model = parts.pop() ?? "";
  const namespace = parts.pop() ?? DEFAULT_NAMESPACE;
  const host = parts.pop() ?? DEFAULT_HOST;
  const right = HOST.test(host) && NAMESPACE.test(namespace) && PART.test(model) && PART.test(tag);
  return right ? { host, namespace, model, tag } : null;
}

/** Fold Ollama's source selectors: `x:local` means `x`, `x:20b:cloud` the tag `20b-cloud`. */
function withoutSource(rest: string): string | null {
  const colon = rest.lastIndexOf(":");
  const before = rest.slice(0, Math.max(colon, 0));
  const selector = rest.slice(colon + 1);
  const named = before.slice(before.lastIndexOf("/") + 1);
  if (selector === "local" && before) return /[:-]cloud$/.test(named) ? null : before;
  return selector === "cloud" && named.includes(":") ? `${before}-cloud` : rest;
}

const keys = new Map<string, string>();

/** What two spellings of one model have in common; a text that is no name stands for itself. */
export function nameKey(text: string): string {
  let key = keys.get(text);
  if (key === undefined) {
    const name = parseName(text);
    key = name
      ? `${name.host}/${name.namespace}/${name.model}:${name.tag}`.toLowerCase()
      : text.trim().toLowerCase();
    if (keys.size > 20_000) keys.clear();
    keys.set(text, key);
  }
  return key;
}

/** The key of a name without its tag. */
export function familyKey(text: string): string {
  const key = nameKey(text);
  const colon = key.lastIndexOf(":");
  return colon > key.lastIndexOf("/") ? key.slice(0, colon) : key;
}

/** The part after the colon. */
export function tagOf(text: string): string {
  return parseName(text)?.tag ?? text;
}

/** The page on the web that describes a model, where its name tells. */
export function pageOf(text: string): string | null {
  const name = parseName(text);
  if (!name) return null;
  const host = name.host.toLowerCase();
  const path = [name.namespace, name.model].map(encodeURIComponent).join("/");
  if (host === DEFAULT_HOST) return `https://ollama.com/${path}`;
  return HUB_HOSTS.includes(host) ? `https://huggingface.co/${path}` : null;
}
