/**
 * Which rows a search finds: `modelwidgets/search.py` for the page, so that it filters also while the
 * kernel is busy. True, false, or null where it is not known; see there for the rules.
 */
import { nameKey } from "./names";
import type { Leaf } from "./lexer";
import { type Node, leaves } from "./query";
import type { CatalogModel, CatalogTag, InstalledModel } from "./records";
import { strings as say } from "./strings";
import { type Range, compare, dateRange, fold, labelRange } from "./terms";

/** What is known beside the rows; null where it is not. */
export interface Known {
  /** Names (their keys) and digests of the installed models. */
  installed: ReadonlySet<string> | null;
  /** Names (their keys) of the models in memory. */
  running: ReadonlySet<string> | null;
  /** By the key of a name: whether it fits into the memory of the machine that would run it. */
  fits: ReadonlyMap<string, boolean>;
  now: number;
}

/** What one tag, or one installed model, says of itself. */
interface Facts {
  name: string;
  digest: string | null;
  text: string;
  ranges: Readonly<Record<string, Range | null>>;
  texts: Readonly<Record<string, readonly string[] | null>>;
  flags: Readonly<Record<string, boolean>>;
}

export interface Found<Row> {
  rows: readonly Row[];
  /** What could not be told, and so was left out; empty where all could. */
  note: string;
  /** The full names that were found, by the name of the row. */
  matching: ReadonlyMap<string, readonly string[]>;
}

/** The rows that a query finds, in their order. */
export function search<Row>(
  node: Node,
  rows: readonly Row[],
  modelOf: (row: Row) => InstalledModel | CatalogModel,
  known: Known,
): Found<Row> {
  const matching = new Map<string, readonly string[]>();
  const terms = leaves(node);
  if (terms.length === 0) return { rows, note: "", matching };
  const found: Row[] = [];
  const unknown = new Set<Leaf>();
  let leftOut = 0;
  for (const row of rows) {
    const model = modelOf(row);
    const facts = factsOf(model);
    const names: string[] = [];
    let open = false;
    for (const one of facts) {
      const holds = truth(node, one, known);
      if (holds) names.push(one.name);
      open ||= holds === null;
    }
    if (names.length > 0) {
      found.push(row);
      matching.set(model.name, names);
    } else if (open) {
      leftOut += 1;
      for (const term of terms) {
        if (!unknown.has(term) && facts.some((one) => ofLeaf(term, one, known) === null)) unknown.add(term);
      }
    }
  }
  const why = new Set(terms.filter((term) => unknown.has(term)).map(wordOf));
  return { rows: found, note: leftOut > 0 ? say.notKnown([...why].join(" or "), leftOut) : "", matching };
}

/** The keys whose values are worth completing. */
const COMPLETED = ["quant", "family", "publisher", "license"];

/** The values that rows have under those keys, the common ones first. */
export function valuesOf(models: readonly (CatalogModel | InstalledModel)[]): Record<string, string[]> {
  const values: Record<string, string[]> = {};
  for (const key of COMPLETED) {
    const counts = new Map<string, number>();
    for (const model of models) {
      for (const facts of factsOf(model)) {
        for (const text of facts.texts[key] ?? []) counts.set(text, (counts.get(text) ?? 0) + 1);
      }
    }
    values[key] = [...counts]
      .sort(([one, many], [other, more]) => more - many || (one < other ? -1 : 1))
      .map(([text]) => text);
  }
  return values;
}

const cache = new WeakMap<CatalogModel | InstalledModel, readonly Facts[]>();

/** What of a row is searched, put together once; a family says something for each of its tags. */
function factsOf(model: CatalogModel | InstalledModel): readonly Facts[] {
  let facts = cache.get(model);
  if (!facts) {
    facts = "tags" in model ? model.tags.map((tag) => ofTag(model, tag)) : [ofInstalled(model)];
    cache.set(model, facts);
  }
  return facts;
}

function ofInstalled(model: InstalledModel): Facts {
  const { name, family, quantization, capabilities } = model;
  const cloud = model.remote_host !== null;
  const shown = [name, family, model.parameter_size, quantization, ...(capabilities ?? [])];
  const at = model.modified_at === null ? null : Date.parse(model.modified_at);
  return {
    name,
    digest: model.digest,
    text: fold(shown.join("\n")),
    ranges: {
      size: cloud ? null : point(model.size_bytes),
      params: point(model.parameters),
      ctx: point(model.max_context_length),
      updated: point(at),
    },
    texts: {
      name: folded([name, name.replace(/:latest$/, "")]),
      tag: folded([name.slice(name.lastIndexOf(":") + 1)]),
      family: family ? folded([family, ...model.families]) : null,
      quant: quantization ? folded([quantization]) : null,
      capability: capabilities && folded(capabilities),
      type: capabilities && [typeOf(capabilities)],
    },
    flags: { installed: true, cloud },
  };
}

function ofTag(model: CatalogModel, tag: CatalogTag): Facts {
  const { name, publisher, license, categories } = model;
  const told = model.custom && model.capabilities.length === 0 ? null : model.capabilities;
  const also = tag.same_as.map((other) => `${name}:${other}`);
  const own = [name, model.description, publisher ?? "", ...categories, ...model.capabilities];
  const shown = [tag.name, ...also, tag.parameters ?? "", tag.quantization ?? ""];
  return {
    name: tag.name,
    digest: tag.digest,
    text: fold([...own, ...shown].join("\n")),
    ranges: {
      size: point(tag.size_bytes),
      params: tag.parameters === null ? null : labelRange(tag.parameters),
      ctx: point(tag.context_length),
      updated: model.updated === null ? null : dateRange(model.updated),
      pulls: point(model.pulls),
    },
    texts: {
      name: folded([tag.name, name, ...also]),
      tag: folded([tag.tag, ...tag.same_as]),
      family: folded([name]),
      quant: tag.quantization === null ? null : folded([tag.quantization]),
      publisher: publisher === null ? null : folded([publisher]),
      license: license === null ? null : folded([license]),
      category: folded(categories),
      capability: told && folded(told),
      type: told && [typeOf([...told, ...categories])],
    },
    flags: { recommended: tag.recommended, yours: model.custom, cloud: false },
  };
}

function truth(node: Node, facts: Facts, known: Known): boolean | null {
  if (node.is === "not") {
    const holds = truth(node.part, facts, known);
    return holds === null ? null : !holds;
  }
  if (node.is !== "all" && node.is !== "either") return ofLeaf(node, facts, known);
  const decisive = node.is === "either";
  let whole: boolean | null = !decisive;
  for (const part of node.parts) {
    const holds = truth(part, facts, known);
    if (holds === decisive) return decisive;
    if (holds === null) whole = null;
  }
  return whole;
}

function ofLeaf(leaf: Leaf, facts: Facts, known: Known): boolean | null {
  if (leaf.is === "text") return facts.text.includes(leaf.text);
  if (leaf.is === "flag") return ofFlag(leaf.name, facts, known);
  if (leaf.is === "compare") {
    const row = facts.ranges[leaf.key === "age" ? "updated" : leaf.key] ?? null;
    if (row === null) return null;
    const range: Range = leaf.key === "age" ? [known.now - row[1], known.now - row[0]] : row;
    return compare(leaf.op, range, leaf.value);
  }
  const texts = facts.texts[leaf.key] ?? null;
  if (texts === null) return null;
  return leaf.op === "=" ? texts.includes(leaf.text) : texts.some((text) => text.includes(leaf.text));
}

function ofFlag(name: string, facts: Facts, known: Known): boolean | null {
  switch (name) {
    case "installed": {
      const { installed } = known;
      if (facts.flags["installed"] || installed === null) return facts.flags["installed"] ?? null;
      return installed.has(facts.digest ?? "") || installed.has(nameKey(facts.name));
    }
    case "running":
      return known.running === null ? null : known.running.has(nameKey(facts.name));
    case "fits":
      return known.fits.get(nameKey(facts.name)) ?? null;
    case "recommended":
    case "yours":
    case "cloud":
      return facts.flags[name] ?? null;
  }
  if (facts.texts["category"]?.includes(name)) return true;
  return facts.texts["capability"]?.includes(name) ?? null;
}

function wordOf(leaf: Leaf): string {
  if (leaf.is === "text") return leaf.text;
  return leaf.is === "flag" ? leaf.name : leaf.key;
}

function typeOf(capabilities: readonly string[]): string {
  return capabilities.includes("embedding") ? "embedding" : "llm";
}

function point(value: number | null): Range | null {
  return value === null ? null : [value, value];
}

function folded(texts: readonly string[]): string[] {
  return texts.map(fold);
}
