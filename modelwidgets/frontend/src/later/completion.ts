/** What could be typed next in a search: `modelwidgets/completion.py` for the page. */
import { KEY, PHRASE, SPACE, WORD, after, matchAt } from "../lexer";
import type { Values } from "../search";
import * as say from "../strings";
import { ALIASES, ALL_KEYS, CAPABILITIES, CLOSED, EXAMPLES, FLAGS, KEYS, fold, keyOf } from "../terms";

/** Texts that could stand between two places of a query; with a space at the end where the term is whole. */
export interface Completion {
  start: number;
  end: number;
  texts: readonly string[];
}

const MOST_VALUES = 10;
const USUAL: Readonly<Record<string, readonly string[]>> = {
  size: ["1GB", "2GB", "4GB", "8GB", "16GB", "32GB"],
  params: ["1b", "3b", "8b", "14b", "32b", "70b"],
  ctx: ["8k", "32k", "128k", "256k", "1m"],
  age: ["7d", "30d", "1y"],
  pulls: ["100k", "1m", "10m"],
  capability: CAPABILITIES,
  ...CLOSED,
};

/** What could be meant at the cursor. */
export function complete(query: string, cursor: number, values: Values): Completion {
  const typed = query.slice(0, cursor);
  let at = 0;
  for (;;) {
    at = after(SPACE, typed, at);
    if (at === cursor) return whole(query, cursor, cursor, starts(""));
    const found = matchAt(KEY, typed, at);
    const key = found && keyOf(found[1] as string);
    if ("()-".includes(typed[at] as string)) {
      at += 1;
    } else if (typed[at] === '"') {
      at = after(PHRASE, typed, at);
      if (at === cursor) return { start: at, end: at, texts: [] };
    } else if (found && key) {
      const start = at + found[0].length;
      const quoted = typed[start] === '"';
      at = after(quoted ? PHRASE : WORD, typed, start);
      if (at === cursor) {
        const there = values(key);
        const known = there.length > 0 ? there : (USUAL[key] ?? []);
        const texts = valuesFor(typed.slice(start).replace(/^"+|"+$/g, ""), known);
        return whole(query, start, cursor, texts, quoted ? after(PHRASE, query, start) : undefined);
      }
    } else {
      const start = at;
      at = after(WORD, typed, at);
      if (at === cursor) return whole(query, start, cursor, starts(typed.slice(start)));
    }
  }
}

/** Replace the rest of the word too, and do not offer what stands there. */
function whole(
  query: string,
  start: number,
  cursor: number,
  texts: readonly string[],
  end = after(WORD, query, cursor),
): Completion {
  const there = query.slice(start, end);
  return { start, end, texts: texts.filter((text) => text.trimEnd() !== there) };
}

function starts(typed: string): string[] {
  const lower = typed.toLowerCase();
  const operators = typed ? ["AND ", "OR ", "NOT "].filter((word) => word.startsWith(typed)) : [];
  const keys = (typed ? ALL_KEYS : KEYS).map((key) => {
    const sign = /^[<>=:]+/.exec(EXAMPLES[ALIASES[key] ?? key] ?? "");
    return key + (sign?.[0] ?? "");
  });
  const flags = [...FLAGS, ...CAPABILITIES].map((flag) => `${flag} `);
  return [...operators, ...[...keys, ...flags].filter((text) => text.startsWith(lower))];
}

function valuesFor(typed: string, known: readonly string[]): string[] {
  const wanted = fold(typed);
  const begin = known.filter((value) => fold(value).startsWith(wanted));
  const inside = known.filter((value) => fold(value).includes(wanted) && !begin.includes(value));
  return [...begin, ...inside].slice(0, MOST_VALUES).map((value) => `${quoted(value)} `);
}

function quoted(value: string): string {
  const bare = after(WORD, value, 0) === value.length && !value.includes('"');
  return bare ? value : `"${value.replaceAll('"', '""')}"`;
}

/** What a suggestion stands for. */
export function wordsFor(text: string): string {
  const key = /[<>=:]$/.test(text) && keyOf(text.replace(/[<>=:]+$/, ""));
  return say.searchWords[key ? `${key}:` : text] ?? "";
}
