/** Cuts a search into signs and terms, and reads each term: `modelwidgets/query_lexer.py` for the page. */
import * as say from "./strings";
import {
  ALL_KEYS,
  CAPABILITIES,
  CLOSED,
  EXAMPLES,
  FLAGS,
  KEYS,
  KINDS,
  type Kind,
  type Range,
  fold,
  keyOf,
  nearest,
  readValue,
  typo,
} from "./terms";

/** A search that cannot be read; it points at the place. */
export class SearchError extends Error {
  /** Typing on may mend it. */
  readonly unfinished: boolean;

  constructor(
    readonly query: string,
    readonly offset: number,
    readonly length: number,
    readonly problem: string,
    readonly nextStep: string,
    /** What probably was to stand there. */
    readonly instead: string | null = null,
    unfinished = false,
  ) {
    super(`${problem} ${nextStep}`);
    this.unfinished = unfinished || offset + length === query.length;
  }
}

export type Leaf =
  | { is: "text"; text: string }
  | { is: "flag"; name: string }
  | { is: "compare"; key: string; op: string; value: Range }
  | { is: "match"; key: string; op: string; text: string };

export interface Token {
  start: number;
  end: number;
  /** `(`, `)`, `AND`, `OR`, `NOT`, `-`; empty for a term. */
  sign: string;
  leaf: Leaf | null;
}

const MOST_TERMS = 64;
const WHITE = "\\t\\n\\v\\f\\r \\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000\\ufeff";
export const SPACE = new RegExp(`[${WHITE}]*`, "y");
export const WORD = new RegExp(`[^${WHITE}()]+`, "y");
export const PHRASE = /"((?:[^"]|"")*)("?)/y;
export const KEY = new RegExp(`([A-Za-z_]+)([${WHITE}]*)(<=|>=|!=|==|<|>|=|:)[${WHITE}]*`, "y");
/** A number whose unit stands apart from it: `3 gb`. */
const APART = new RegExp(`([0-9.]+)[${WHITE}]+([A-Za-z]+)(?=[${WHITE}()]|$)`, "y");
const OPERATOR = new RegExp(`(AND|OR|NOT)(?=[${WHITE}()]|$)`, "y");
const COMPARES = /[<>=]/;

/** What stands at a place. */
export function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at;
  return pattern.exec(text);
}

/** Where a pattern ends that may stand at a place. */
export function after(pattern: RegExp, text: string, at: number): number {
  return at + (matchAt(pattern, text, at)?.[0].length ?? 0);
}

/** Signs and terms of a query, in their order. */
export function tokensOf(query: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  let terms = 0;
  for (;;) {
    at = after(SPACE, query, at);
    if (at === query.length) return tokens;
    const token = tokenAt(query, at);
    if (token.leaf && ++terms > MOST_TERMS) {
      fail(query, at, token.end, say.tooManyTerms(MOST_TERMS), say.shortenIt);
    }
    tokens.push(token);
    at = token.end;
  }
}

function tokenAt(query: string, start: number): Token {
  const first = query[start] as string;
  const sign = "()".includes(first) ? first : matchAt(OPERATOR, query, start)?.[0];
  const negates = first === "-" && after(SPACE, query, start + 1) === start + 1;
  if (sign || negates) return { start, end: start + (sign ?? "-").length, sign: sign ?? "-", leaf: null };
  if (first === '"') {
    const { text, end } = phraseAt(query, start);
    return { start, end, sign: "", leaf: { is: "text", text: fold(text) } };
  }
  const found = matchAt(KEY, query, start);
  const [end, leaf] = found && isKey(query, found) ? termAt(query, found) : wordAt(query, start);
  return { start, end, sign: "", leaf };
}

function phraseAt(query: string, start: number): { text: string; end: number } {
  const [whole, inside, closing] = matchAt(PHRASE, query, start) as unknown as [string, string, string];
  const end = start + whole.length;
  if (!closing) fail(query, start, end, say.quoteOpen, say.closeQuote, null, true);
  if (!inside) fail(query, start, end, say.emptyQuotes, say.writeText, null, true);
  return { text: inside.replaceAll('""', '"'), end };
}

/** Whether a word before an operator is a key; `qwen3:8b` is the name of a model. */
function isKey(query: string, found: RegExpExecArray): boolean {
  const [, word, gap, op] = found as unknown as [string, string, string, string];
  const known = keyOf(word) !== null;
  if (known || gap) return known;
  const meant = op === ":" ? typo(word) : nearest(word, ALL_KEYS);
  if (op === ":" && meant === null) return false;
  const end = found.index + word.length;
  const whole = query.slice(found.index, after(WORD, query, end));
  const quote = op === ":" ? ` ${say.quoteIt(whole)}` : "";
  const step = meant === null ? say.keysAre(KEYS.join(", ")) : `${say.didYouMean(meant)}${quote}`;
  return fail(query, found.index, end, say.noKey(word), step, meant);
}

function termAt(query: string, found: RegExpExecArray): [number, Leaf] {
  const [before, word, gap, op] = found as unknown as [string, string, string, string];
  const key = keyOf(word) as string;
  const kind = KINDS[key] as Kind;
  const written = word.toLowerCase();
  const sign = found.index + word.length + gap.length;
  checkOperator(query, sign, op, written, kind);
  const start = found.index + before.length;
  let [text, end] = ["", after(WORD, query, start)];
  if (query[start] === '"') {
    ({ text, end } = phraseAt(query, start));
  } else if (end === start) {
    const step = say.writeItLike(`${written}${EXAMPLES[key]}`);
    const last = start === query.length;
    fail(query, found.index, sign + op.length, say.needsValue(`${written}${op}`), step, null, last);
  } else {
    text = query.slice(start, end);
  }
  if (kind === "text") {
    const value = fold(text);
    checkClosed(query, start, end, key, op, value);
    return [end, { is: "match", key, op, text: value }];
  }
  const apart = matchAt(APART, query, start);
  const whole = apart && readValue(kind, op, `${apart[1]}${apart[2]}`);
  if (whole) return [start + apart[0].length, { is: "compare", key, op, value: whole }];
  const value = readValue(kind, op, text);
  if (value) return [end, { is: "compare", key, op, value }];
  const last = after(SPACE, query, end) === query.length;
  return fail(query, start, end, say.noValue(text, say.aValue[kind]), say.writeValue[kind], null, last);
}

function checkOperator(query: string, start: number, op: string, written: string, kind: Kind): void {
  const end = start + op.length;
  if (op === "!=") fail(query, start, end, say.noOperator(op), say.writeNot(written));
  if (op === "==") fail(query, start, end, say.noOperator(op), say.writeEquals, "=");
  if (kind === "text" && op !== "=" && op !== ":") {
    fail(query, start, end, say.textKey(written, op), say.textOperators(written), ":");
  }
}

function checkClosed(query: string, start: number, end: number, key: string, op: string, value: string): void {
  const valid = CLOSED[key];
  if (!valid || valid.includes(value) || (op === ":" && valid.some((one) => one.includes(value)))) return;
  const meant = nearest(value, valid);
  const step = meant === null ? say.useOneOf(valid.join(", ")) : say.didYouMean(meant);
  fail(query, start, end, say.noSuch(key, query.slice(start, end)), step, meant);
}

function wordAt(query: string, start: number): [number, Leaf] {
  const end = after(WORD, query, start);
  const word = query.slice(start, end);
  const text = fold(word);
  if (FLAGS.includes(text) || CAPABILITIES.includes(text)) return [end, { is: "flag", name: text }];
  const sign = COMPARES.exec(word);
  if (sign) {
    const at = start + sign.index;
    return fail(query, at, at + 1, say.needsKey(sign[0]), say.writeKey);
  }
  return [end, { is: "text", text }];
}

export function fail(
  query: string,
  start: number,
  end: number,
  problem: string,
  nextStep: string,
  instead: string | null = null,
  unfinished = false,
): never {
  throw new SearchError(query, start, end - start, problem, nextStep, instead, unfinished);
}
