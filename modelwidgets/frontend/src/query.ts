/**
 * The grammar of a search, from the text that somebody types to a tree of terms:
 * `modelwidgets/query.py` for the page; see there for the rules.
 */
import { type Leaf, SearchError, type Token, fail, tokensOf } from "./lexer";
import * as say from "./strings";

export type Node =
  | Leaf
  | { is: "not"; part: Node }
  | { is: "all"; parts: readonly Node[] }
  | { is: "either"; parts: readonly Node[] };

export const EVERYTHING: Node = { is: "all", parts: [] };
const MOST_CHARACTERS = 1000;
const MOST_DEPTH = 30;

/** Read a query; an empty one has no terms, and every row fits. Throws `SearchError`. */
export function parse(query: string): Node {
  if (query.length > MOST_CHARACTERS) {
    const shown = query.slice(0, MOST_CHARACTERS + 1);
    fail(shown, MOST_CHARACTERS, shown.length, say.tooLong(MOST_CHARACTERS), say.shortenIt);
  }
  const tokens = tokensOf(query);
  return tokens.length > 0 ? new Parser(query, tokens).whole() : EVERYTHING;
}

/** The tree of a query, or what is wrong with it. */
export function read(query: string): Node | SearchError {
  try {
    return parse(query);
  } catch (error) {
    if (error instanceof SearchError) return error;
    throw error;
  }
}

/** The terms of a query, in their order. */
export function leaves(node: Node): Leaf[] {
  if (node.is === "not") return leaves(node.part);
  return node.is === "all" || node.is === "either" ? node.parts.flatMap(leaves) : [node];
}

/** Puts terms together; the depth is counted, so that no query can exhaust the stack. */
class Parser {
  private at = 0;

  constructor(
    private readonly query: string,
    private readonly tokens: readonly Token[],
  ) {}

  whole(): Node {
    const node = this.either(0);
    const token = this.tokens[this.at];
    return token ? this.lacks(token) : node;
  }

  private either(depth: number): Node {
    const parts = [this.all(depth)];
    while (this.tokens[this.at]?.sign === "OR") {
      this.at += 1;
      parts.push(this.all(depth));
    }
    return parts.length === 1 ? (parts[0] as Node) : { is: "either", parts };
  }

  private all(depth: number): Node {
    const parts: Node[] = [];
    const last = this.tokens[this.at - 1];
    let between = last?.sign === "OR" ? last : null;
    for (;;) {
      const token = this.tokens[this.at];
      if (!token || token.sign === ")" || token.sign === "OR") break;
      if (token.sign === "AND") {
        if (between || parts.length === 0) this.lacks(between ?? token);
        between = token;
        this.at += 1;
        continue;
      }
      parts.push(this.not(depth));
      between = null;
    }
    if (between || parts.length === 0) this.lacks(between ?? (this.tokens[this.at] as Token));
    return parts.length === 1 ? (parts[0] as Node) : { is: "all", parts };
  }

  private not(depth: number): Node {
    const token = this.tokens[this.at] as Token;
    this.at += 1;
    if (depth >= MOST_DEPTH && token.sign) this.fail(token, say.tooDeep(MOST_DEPTH), say.writeSimpler);
    if (token.sign === "(") return this.parentheses(token, depth + 1);
    if (!token.sign) return token.leaf as Leaf;
    const term = this.tokens[this.at];
    if (!term || [")", "AND", "OR"].includes(term.sign)) {
      this.fail(token, say.needsTerm(token.sign), say.writeOne, null, !term);
    }
    return { is: "not", part: this.not(depth + 1) };
  }

  private parentheses(opening: Token, depth: number): Node {
    const next = this.tokens[this.at];
    if (next?.sign === ")") this.fail(opening, say.emptyParentheses, say.writeTerm);
    const node = next ? this.either(depth) : null;
    if (!node || !this.tokens[this.at]) {
      return this.fail(opening, say.parenthesisOpen, say.closeParenthesis, null, true);
    }
    this.at += 1;
    return node;
  }

  private lacks(token: Token): never {
    if (token.sign === ")") return this.fail(token, say.parenthesisClosed, say.takeAway, "");
    const unfinished = this.at >= this.tokens.length;
    return this.fail(token, say.needsBoth(token.sign), say.writeOne, null, unfinished);
  }

  private fail(
    token: Token,
    problem: string,
    nextStep: string,
    instead: string | null = null,
    unfinished = false,
  ): never {
    return fail(this.query, token.start, token.end, problem, nextStep, instead, unfinished);
  }
}
