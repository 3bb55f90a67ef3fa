/** What a term of a search may be: `modelwidgets/terms.py` for the page; see there for the why. */

export type Kind = "size" | "parameters" | "tokens" | "count" | "date" | "age" | "text";
/** Both ends belong to it. */
export type Range = readonly [number, number];

export const KINDS: Readonly<Record<string, Kind>> = {
  size: "size",
  params: "parameters",
  ctx: "tokens",
  quant: "text",
  family: "text",
  updated: "date",
  age: "age",
  name: "text",
  tag: "text",
  publisher: "text",
  license: "text",
  category: "text",
  capability: "text",
  type: "text",
  pulls: "count",
};
export const ALIASES: Readonly<Record<string, string>> = {
  parameters: "params",
  context: "ctx",
  quantization: "quant",
  modified: "updated",
  changed: "updated",
  licence: "license",
  popularity: "pulls",
};
export const KEYS = Object.keys(KINDS);
export const ALL_KEYS = [...KEYS, ...Object.keys(ALIASES)];
export const FLAGS = ["installed", "running", "fits", "recommended", "yours", "cloud"];
export const CAPABILITIES = ["completion", "tools", "thinking", "vision", "audio", "embedding", "insert"];
/** Keys that have only these values, so that another one is a mistake. */
export const CLOSED: Readonly<Record<string, readonly string[]>> = {
  category: [
    ...["chat", "code", "vision", "embedding", "reasoning", "tools"],
    ...["math", "medical", "safety", "data", "translation"],
  ],
  type: ["llm", "embedding"],
};
/** How each key is used, for errors and completion. */
export const EXAMPLES: Readonly<Record<string, string>> = {
  size: "<8GB",
  params: ">=7b",
  ctx: ">=128k",
  quant: ":q4",
  family: ":llama",
  updated: ">2026-01",
  age: "<30d",
  name: ":coder",
  tag: ":instruct",
  publisher: ":meta",
  license: ":apache",
  category: ":code",
  capability: ":tools",
  type: ":embedding",
  pulls: ">1m",
};

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const UNITS: Readonly<Record<string, Readonly<Record<string, Range>>>> = {
  size: Object.fromEntries([
    ["b", [1, 1]],
    ...["k", "m", "g", "t"].flatMap((letter, at) => {
      const [thousands, binary] = [1000 ** (at + 1), 1024 ** (at + 1)];
      return [
        [letter, [thousands, thousands]],
        [`${letter}b`, [thousands, thousands]],
        [`${letter}ib`, [binary, binary]],
      ];
    }),
  ]),
  parameters: { k: [1e3, 1e3], m: [1e6, 1e6], b: [1e9, 1e9], t: [1e12, 1e12] },
  tokens: { "": [1, 1], k: [1000, 1024], m: [1e6, 1024 * 1024] },
  count: { "": [1, 1], k: [1e3, 1e3], m: [1e6, 1e6], b: [1e9, 1e9] },
  age: { h: [HOUR, HOUR], d: [DAY, DAY], w: [7 * DAY, 7 * DAY], y: [365.25 * DAY, 365.25 * DAY] },
};
const AMOUNT = /^([0-9]{1,15})(?:\.([0-9]{1,6}))? ?([a-z]*)$/;
const DATE = /^((?:19|20)[0-9]{2})(?:-([0-9]{2})(?:-([0-9]{2}))?)?$/;
const LABEL = /^(?:([0-9]{1,3})x)?([0-9]{1,6}(?:\.[0-9]{1,6})?)([kmbt])$/;
const ASCII = /^[\x00-\x7f]*$/;

/** A text as it is compared: in one case. */
export function fold(text: string): string {
  return ASCII.test(text) ? text.toLowerCase() : text.toUpperCase().toLowerCase().replaceAll("ς", "σ");
}

/** The key that a word means, in any case, also by another name of it. */
export function keyOf(word: string): string | null {
  const lower = word.toLowerCase();
  if (Object.hasOwn(KINDS, lower)) return lower;
  return Object.hasOwn(ALIASES, lower) ? (ALIASES[lower] as string) : null;
}

/** The range that a value stands for; null where it is none of its kind. */
export function readValue(kind: Kind, op: string, text: string): Range | null {
  if (kind === "date") return dateRange(text);
  const found = AMOUNT.exec(text.toLowerCase());
  const units = UNITS[kind];
  const name = found?.[3] ?? "";
  if (!found || !units || !Object.hasOwn(units, name)) return null;
  const [low, high] = units[name] as Range;
  const decimals = found[2] ?? "";
  const number = Number(`${found[1]}.${decimals}0`);
  const exact = (op !== "=" && op !== ":") || kind === "tokens" || name === "";
  const spare = exact ? 0 : Number(`5e-${decimals.length + 1}`);
  return [Math.max(number - spare, 0) * low, (number + spare) * high];
}

/** A year, month or day in milliseconds since 1970, in UTC. */
export function dateRange(text: string): Range | null {
  const found = DATE.exec(text);
  if (!found) return null;
  const [year, month, day] = [Number(found[1]), Number(found[2] ?? 1), Number(found[3] ?? 1)];
  const first = new Date(Date.UTC(year, month - 1, day));
  if (first.getUTCMonth() !== month - 1 || first.getUTCDate() !== day) return null;
  const after = found[3]
    ? Date.UTC(year, month - 1, day + 1)
    : found[2]
      ? Date.UTC(year, month, 1)
      : Date.UTC(year + 1, 0, 1);
  return [first.getTime(), after - 1];
}

/** What a label such as `8B` says of the number of weights; `8X7B` only roughly, `E4B` nothing. */
export function labelRange(label: string): Range | null {
  const found = LABEL.exec(label.toLowerCase());
  if (!found) return null;
  const size = Number(found[2]) * (UNITS["parameters"]?.[found[3] as string]?.[0] ?? 1);
  return [size, size * Number(found[1] ?? 1)];
}

/** Whether a row's range stands so to a value's; null where the row knows it too roughly. */
export function compare(op: string, [first, last]: Range, [low, high]: Range): boolean | null {
  if (op === ">") return told(first > high, last <= high);
  if (op === ">=") return told(first >= low, last < low);
  if (op === "<") return told(last < low, first >= low);
  if (op === "<=") return told(last <= high, first > high);
  return told(first >= low && last <= high, last < low || first > high);
}

/** What a misspelt word was probably to be: at most two letters away, one in a short word. */
export function nearest(word: string, known: readonly string[]): string | null {
  const lower = word.toLowerCase();
  const away = known.map((one) => distance(lower, one));
  const best = Math.min(...away);
  return best <= (word.length > 3 ? 2 : 1) ? (known[away.indexOf(best)] ?? null) : null;
}

/** The key that a word before a colon was meant to be; most such words are names of models. */
export function typo(word: string): string | null {
  const lower = word.toLowerCase();
  return ALL_KEYS.find((key) => key.length > 3 && distance(lower, key) === 1) ?? null;
}

/** How many letters must be changed, added, dropped or swapped with the next; 9 is far. */
export function distance(one: string, other: string): number {
  if (Math.abs(one.length - other.length) > 2 || one.length > 20) return 9;
  let earlier: number[] = [];
  let before: number[] = [];
  let line = Array.from({ length: other.length + 1 }, (_, at) => at);
  for (let at = 0; at < one.length; at++) {
    [earlier, before, line] = [before, line, [at + 1]];
    for (let place = 0; place < other.length; place++) {
      const [above, left, across] = [before[place + 1], line[place], before[place]] as [number, number, number];
      const same = one[at] === other[place];
      const cost = Math.min(above + 1, left + 1, across + (same ? 0 : 1));
      const swapped = at > 0 && place > 0 && one[at] === other[place - 1] && one[at - 1] === other[place];
      line.push(swapped ? Math.min(cost, (earlier[place - 1] as number) + 1) : cost);
    }
  }
  return line[other.length] as number;
}

function told(yes: boolean, no: boolean): boolean | null {
  return yes ? true : no ? false : null;
}
