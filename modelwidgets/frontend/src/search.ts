/**
 * Which rows a search finds: `modelwidgets/search.py` for the page, so that it filters also while the
 * kernel is busy. True, false, or null where it is not known; see there for the rules.
 */
import { nameKey } from "./names";
import type { Leaf } from "./lexer";
import { type Node, leaves } from "./query";
import type { CatalogModel, CatalogTag, InstalledModel } from "./records";
import * as say from "./strings";
import { FLAGS, type Range, compare, dateRange, fold, labelRange } from "./terms";

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
  familyOf: (row: Row) => CatalogModel | undefined = noFamily,
): Found<Row> {
  const matching = new Map<string, readonly string[]>();
  const terms = leaves(node);
  if (terms.length === 0) return { rows, note: "", matching };
  const found: Row[] = [];
  const unknown = new Set<Leaf>();
  let leftOut = 0;
  for (const row of rows) {
    const model = modelOf(row);
    const facts = factsOf(model, familyOf(row));
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

/** The values that rows have under one of those keys, the common ones first; none under other keys. */
export function valuesOf<Row>(
  key: string,
  rows: readonly Row[],
  modelOf: (row: Row) => InstalledModel | CatalogModel,
  familyOf: (row: Row) => CatalogModel | undefined = noFamily,
): string[] {
  const counts = new Map<string, number>();
  for (const row of COMPLETED.includes(key) ? rows : []) {
    for (const facts of factsOf(modelOf(row), familyOf(row))) {
      for (const text of facts.texts(key) ?? []) counts.set(text, (counts.get(text) ?? 0) + 1);
    }
  }
  return [...counts]
    .sort(([one, many], [other, more]) => more - many || (one < other ? -1 : 1))
    .map(([text]) => text);
}

/** The values that the rows have under a key. */
export type Values = (key: string) => readonly string[];

const cache = new WeakMap<CatalogModel | InstalledModel, readonly Facts[]>();

/** What of a row is searched; a family says something for each of its tags. */
function factsOf(model: CatalogModel | InstalledModel, family?: CatalogModel): readonly Facts[] {
  let facts = cache.get(model);
  if (!facts || facts[0]?.family !== family) {
    facts = "tags" in model ? factsOfTags(model) : [new InstalledFacts(model, family)];
    cache.set(model, facts);
  }
  return facts;
}

const noFamily = () => undefined;

function factsOfTags(model: CatalogModel): Facts[] {
  const { name, description, publisher, categories, capabilities } = model;
  const shared = fold([name, description, publisher ?? "", ...categories, ...capabilities].join("\n"));
  return model.tags.map((tag) => new TagFacts(model, tag, shared));
}

/** What one tag, or one installed model, says of itself; worked out when asked, and most is not. */
abstract class Facts {
  abstract readonly name: string;
  abstract readonly digest: string | null;
  /** The family of the catalog that an installed model belongs to. */
  readonly family: CatalogModel | undefined = undefined;
  #folded: string | null = null;
  #nameKey: string | null = null;

  abstract range(key: string): Range | null;
  /** Folded; null where it is not known. */
  abstract texts(key: string): readonly string[] | null;
  abstract flag(name: string): boolean | null;
  protected abstract shown(): readonly string[];

  has(text: string): boolean {
    this.#folded ??= fold(this.shown().join("\n"));
    return this.#folded.includes(text);
  }

  get key(): string {
    this.#nameKey ??= nameKey(this.name);
    return this.#nameKey;
  }
}

class InstalledFacts extends Facts {
  readonly name: string;
  readonly digest: string;
  readonly #cloud: boolean;

  constructor(
    private readonly model: InstalledModel,
    override readonly family: CatalogModel | undefined,
  ) {
    super();
    this.name = model.name;
    this.digest = model.digest;
    this.#cloud = model.remote_host !== null;
  }

  range(key: string): Range | null {
    const { model } = this;
    switch (key) {
      case "size":
        return this.#cloud ? null : point(model.size_bytes);
      case "params":
        return point(model.parameters);
      case "ctx":
        return point(model.max_context_length);
      case "updated":
        return model.modified_at === null ? null : point(Date.parse(model.modified_at));
      case "pulls":
        return point(this.family?.pulls ?? null);
    }
    return null;
  }

  texts(key: string): readonly string[] | null {
    const { name, family, families, quantization, capabilities } = this.model;
    switch (key) {
      case "name":
        return folded([name, name.replace(/:latest$/, "")]);
      case "tag":
        return folded([name.slice(name.lastIndexOf(":") + 1)]);
      case "family":
        return family ? folded([family, ...families]) : null;
      case "quant":
        return quantization ? folded([quantization]) : null;
      case "capability":
        return capabilities && folded(capabilities);
      case "type":
        return capabilities && [typeOf(capabilities)];
    }
    return this.family ? textsOfFamily(this.family, key) : null;
  }

  flag(name: string): boolean | null {
    if (name === "yours") return this.family?.custom ?? null;
    return name === "installed" ? true : name === "cloud" ? this.#cloud : null;
  }

  protected shown(): readonly string[] {
    const { name, family, parameter_size, quantization, capabilities } = this.model;
    return [name, family, parameter_size, quantization, ...(capabilities ?? [])];
  }
}

class TagFacts extends Facts {
  readonly name: string;
  readonly digest: string | null;

  constructor(
    private readonly model: CatalogModel,
    private readonly tag: CatalogTag,
    /** What is searched of the family, folded. */
    private readonly shared: string,
  ) {
    super();
    this.name = tag.name;
    this.digest = tag.digest;
  }

  override has(text: string): boolean {
    return this.shared.includes(text) || super.has(text);
  }

  range(key: string): Range | null {
    const { model, tag } = this;
    switch (key) {
      case "size":
        return point(tag.size_bytes);
      case "params":
        return tag.parameters === null ? null : labelRange(tag.parameters);
      case "ctx":
        return point(tag.context_length);
      case "updated":
        return model.updated === null ? null : dateRange(model.updated);
      case "pulls":
        return point(model.pulls);
    }
    return null;
  }

  texts(key: string): readonly string[] | null {
    const { name, categories, custom, capabilities } = this.model;
    const { tag } = this;
    const told = custom && capabilities.length === 0 ? null : capabilities;
    switch (key) {
      case "name":
        return folded([tag.name, name, ...this.#also()]);
      case "tag":
        return folded([tag.tag, ...tag.same_as]);
      case "family":
        return folded([name]);
      case "quant":
        return tag.quantization === null ? null : folded([tag.quantization]);
      case "capability":
        return told && folded(told);
      case "type":
        return told && [typeOf([...told, ...categories])];
    }
    return textsOfFamily(this.model, key);
  }

  flag(name: string): boolean | null {
    const { tag, model } = this;
    switch (name) {
      case "recommended":
        return tag.recommended;
      case "yours":
        return model.custom;
      case "cloud":
        return false;
    }
    return null;
  }

  protected shown(): readonly string[] {
    const { name, parameters, quantization } = this.tag;
    return [name, ...this.#also(), parameters ?? "", quantization ?? ""];
  }

  #also(): string[] {
    return this.tag.same_as.map((other) => `${this.model.name}:${other}`);
  }
}

function textsOfFamily({ publisher, license, categories }: CatalogModel, key: string): readonly string[] | null {
  if (key === "category") return folded(categories);
  const text = key === "publisher" ? publisher : key === "license" ? license : null;
  return text === null ? null : folded([text]);
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
  if (leaf.is === "text") return facts.has(leaf.text);
  if (leaf.is === "flag") return ofFlag(leaf.name, facts, known);
  if (leaf.is === "compare") {
    const row = facts.range(leaf.key === "age" ? "updated" : leaf.key);
    if (row === null) return null;
    const range: Range = leaf.key === "age" ? [known.now - row[1], known.now - row[0]] : row;
    return compare(leaf.op, range, leaf.value);
  }
  const texts = facts.texts(leaf.key);
  if (texts === null) return null;
  return leaf.op === "=" ? texts.includes(leaf.text) : texts.some((text) => text.includes(leaf.text));
}

function ofFlag(name: string, facts: Facts, known: Known): boolean | null {
  if (name === "fits") return known.fits.size === 0 ? null : (known.fits.get(facts.key) ?? null);
  if (name === "running") return known.running === null ? null : known.running.has(facts.key);
  if (FLAGS.includes(name)) {
    const own = facts.flag(name);
    if (name !== "installed" || own || known.installed === null) return own;
    return known.installed.has(facts.digest ?? "") || known.installed.has(facts.key);
  }
  if (facts.texts("category")?.includes(name)) return true;
  return facts.texts("capability")?.includes(name) ?? null;
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
