import assert from "node:assert/strict";
import { test } from "node:test";

import cases from "../../../tests/data/search_cases.json";
import { complete } from "../src/later/completion";
import { SearchError } from "../src/lexer";
import { nameKey } from "../src/names";
import { parse, read } from "../src/query";
import type { CatalogModel, InstalledModel } from "../src/records";
import { type Known, search, valuesOf } from "../src/search";
import { ALIASES, CAPABILITIES, CLOSED, EXAMPLES, FLAGS, KINDS } from "../src/terms";

type Model = InstalledModel | CatalogModel;

const { installed, catalog, tag } = cases.defaults;
const ROWS: Record<string, Model[]> = {
  installed: cases.installed.map((row) => ({ ...installed, ...row }) as InstalledModel),
  catalog: cases.catalog.map((row) => {
    const tags = row.tags.map((one) => ({ ...tag, ...one }));
    return { ...catalog, ...row, tags } as CatalogModel;
  }),
};
const now = Date.parse(cases.now);
const KNOWN: Known = {
  installed: new Set(cases.known.installed.map(nameKey)),
  running: new Set(cases.known.running.map(nameKey)),
  fits: new Map(Object.entries(cases.known.fits).map(([name, fits]) => [nameKey(name), fits])),
  now,
};
const NOTHING: Known = { installed: null, running: null, fits: new Map(), now };
const FAMILIES = new Map((ROWS["catalog"] as CatalogModel[]).map((model) => [model.name, model]));

function searched(query: string, rows: readonly Model[], known = KNOWN) {
  const familyOf = (row: Model) => (known === NOTHING ? undefined : FAMILIES.get(row.name.split(":")[0] ?? ""));
  return search(parse(query), rows, (row) => row, known, familyOf);
}

const VALUES: Record<string, string[]> = cases.values;

/** A file of Python counts characters, a page their halves. */
function characters(text: string): number {
  return [...text].length;
}

test("the page knows the words that Python knows", () => {
  assert.deepEqual(
    { keys: KINDS, aliases: ALIASES, flags: FLAGS, capabilities: CAPABILITIES, closed: CLOSED, examples: EXAMPLES },
    cases.vocabulary,
  );
});

test("the page finds what Python finds", () => {
  for (const one of cases.finds) {
    const found = searched(one.query, ROWS[one.rows] as Model[], "nothing_known" in one ? NOTHING : KNOWN);

    assert.deepEqual(
      found.rows.map((row) => row.name),
      one.names,
      one.query,
    );
    assert.equal(found.note, "note" in one ? one.note : "", one.query);
    if ("tags" in one) assert.deepEqual([...found.matching.values()].flat(), one.tags, one.query);
  }
});

test("the page points at the mistakes that Python points at, in the same words", () => {
  for (const one of cases.errors) {
    const error = read(one.query);

    assert.ok(error instanceof SearchError, one.query);
    assert.deepEqual(
      {
        query: one.query,
        place: one.query.slice(error.offset, error.offset + error.length),
        offset: characters(one.query.slice(0, error.offset)),
        problem: error.problem,
        next_step: error.nextStep,
        instead: error.instead,
        unfinished: error.unfinished,
      },
      one,
    );
  }
});

test("the page completes what Python completes", () => {
  for (const one of cases.completions) {
    const cursor = one.query.indexOf("|");
    const query = one.query.replace("|", "");
    const { start, end, texts } = complete(query, cursor, (key) => VALUES[key] ?? []);

    assert.deepEqual(
      { query: one.query, replaces: query.slice(start, end), start, texts: [...texts] },
      one,
      one.query,
    );
  }
});

test("values to complete come from the rows, of an installed model also from its family", () => {
  const familyOf = (row: Model) => FAMILIES.get(row.name.split(":")[0] ?? "");
  const of = (key: string, kind: string) => valuesOf(key, ROWS[kind] as Model[], (row) => row, familyOf);

  assert.deepEqual(of("quant", "catalog"), ["f16", "q4_0", "q4_k_m", "q8_0"]);
  assert.deepEqual(of("publisher", "catalog"), ["alibaba", "baai", "mistral ai"]);
  assert.deepEqual(of("publisher", "installed"), ["alibaba"]);
  assert.deepEqual(of("size", "catalog"), []);
});

test("hostile queries are refused early", () => {
  for (const query of ["(".repeat(10_000), "a ".repeat(50_000), "-".repeat(900), "(a ".repeat(333), "a ".repeat(400)]) {
    const started = performance.now();
    const error = read(query);

    assert.ok(error instanceof SearchError, query.slice(0, 10));
    assert.ok(performance.now() - started < 50);
  }
});

test("a filter key on 5,000 families costs a fraction of what a person notices", () => {
  const many = Array.from({ length: 5000 }, (_, at): CatalogModel => {
    const model = ROWS["catalog"]?.[at % 4] as CatalogModel;
    return { ...model, name: `${model.name}-${at}` };
  });
  const query = "(size<8GB quant:q4 OR thinking) -yours updated>2024 license:apache \"optional\"";
  searched("warm", many);
  const times = Array.from({ length: 7 }, () => {
    const started = process.cpuUsage();
    searched(query, many);
    const { user, system } = process.cpuUsage(started);
    return (user + system) / 1000;
  });

  assert.ok(Math.min(...times) < 40, `${Math.min(...times)} ms`);
  console.log(`# CPU of a filter key on 5,000 families: ${Math.min(...times).toFixed(1)} ms`);
});
