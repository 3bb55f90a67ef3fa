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
  return tokens.length > 0 ? treeOf(query, tokens) : EVERYTHING;
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
function treeOf(query: string, tokens: readonly Token[]): Node {
  let at = 0;

  function either(depth: number): Node {
    const parts = [all(depth)];
    while (tokens[at]?.sign === "OR") {
      at += 1;
      parts.push(all(depth));
    }
    return parts.length === 1 ? (parts[0] as Node) : { is: "either", parts };
  }

  function all(depth: number): Node {
    const parts: Node[] = [];
    const last = tokens[at - 1];
    let between = last?.sign === "OR" ? last : null;
    for (;;) {
      const token = tokens[at];
      if (!token || token.sign === ")" || token.sign === "OR") break;
      if (token.sign === "AND") {
        if (between || parts.length === 0) lacks(between ?? token);
        between = token;
        at += 1;
        continue;
      }
      parts.push(not(depth));
      between = null;
    }
    if (between || parts.length === 0) lacks(between ?? (tokens[at] as Token));
    return parts.length === 1 ? (parts[0] as Node) : { is: "all", parts };
  }

  function not(depth: number): Node {
    const token = tokens[at] as Token;
    at += 1;
    if (depth >= MOST_DEPTH && token.sign) refuse(token, say.tooDeep(MOST_DEPTH), say.writeSimpler);
    if (token.sign === "(") return parentheses(token, depth + 1);
    if (!token.sign) return token.leaf as Leaf;
    const term = tokens[at];
    if (!term || [")", "AND", "OR"].includes(term.sign)) {
      refuse(token, say.needsTerm(token.sign), say.writeOne, null, !term);
    }
    return { is: "not", part: not(depth + 1) };
  }

  function parentheses(opening: Token, depth: number): Node {
    const next = tokens[at];
    if (next?.sign === ")") refuse(opening, say.emptyParentheses, say.writeTerm);
    const node = next ? either(depth) : null;
    if (!node || !tokens[at]) {
      return refuse(opening, say.parenthesisOpen, say.closeParenthesis, null, true);
    }
    at += 1;
    return node;
  }

  function lacks(token: Token): never {
    if (token.sign === ")") return refuse(token, say.parenthesisClosed, say.takeAway, "");
    return refuse(token, say.needsBoth(token.sign), say.writeOne, null, at >= tokens.length);
  }

  function refuse({ start, end }: Token, ...why: [string, string, (string | null)?, boolean?]): never {
    return fail(query, start, end, ...why);
  }

  const tree = either(0);
  const rest = tokens[at];
  return rest ? lacks(rest) : tree;
}
