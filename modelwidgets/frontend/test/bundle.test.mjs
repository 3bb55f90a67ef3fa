/** What the page's assets weigh, and that nothing in them is there for nothing. */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { assets, gzipped, here } from "../bundle.mjs";

/** What arrives with the first cell, and what is fetched once after that. */
const MOST_BYTES = { "widget.js": 36_000, "widget.css": 5_000, "later.js": 22_000 };

const read = (pattern) => globSync(pattern, { cwd: here }).map((path) => readFileSync(join(here, path), "utf8"));
const code = [...read("src/**/*.ts"), ...read("src/**/*.tsx")].join("\n");
const built = await assets();

for (const { name, text, sources } of built) {
  test(`${name} stays small: what is added must be worth its download`, () => {
    const table = sources.map(([source, bytes]) => `${String(bytes).padStart(7)}  ${source}`);
    const size = gzipped(text);
    assert.ok(
      size <= MOST_BYTES[name],
      `${name} is ${size} bytes gzipped, at most ${MOST_BYTES[name]} are wanted. Before that, each source takes:\n${table.join("\n")}`,
    );
  });
}

test("what arrives with the first cell has nothing of the later part", () => {
  const first = built.filter(({ name }) => name !== "later.js").flatMap(({ sources }) => sources.map(([source]) => source));
  assert.ok(first.includes("src/table.tsx"));
  assert.deepEqual(first.filter((source) => source.includes("later/")), []);
});

test("the two parts know which build of the other they fit", () => {
  const [first, later] = ["widget.js", "later.js"].map((wanted) => built.find(({ name }) => name === wanted).text);
  const [, build] = /^\/\*([0-9a-f]{16})\*\//.exec(later);
  assert.ok(first.includes(build));
});

test("the later part brings no second copy of what keeps state", () => {
  const { sources } = built.find(({ name }) => name === "later.js");
  const others = sources.map(([source]) => source).filter((source) => !source.includes("src/later/"));
  assert.deepEqual(others, ["src/strings.ts?later"]);
});

test("every class that has a rule is used", () => {
  const classes = new Set(read("src/**/*.css").flatMap((css) => css.match(/(?<=\.)mw-[\w-]+/g)));
  const used = (name) => {
    if (new RegExp(`${name}(?![\\w-])`).test(code)) return true;
    const dash = name.lastIndexOf("-"); // `mw-dot-${"ok"}`
    return code.includes(`${name.slice(0, dash)}-\${`) && code.includes(`"${name.slice(dash + 1)}"`);
  };
  assert.deepEqual([...classes].filter((name) => !used(name)), []);
});

test("every variable of the style sheet is used", () => {
  const css = read("src/**/*.css").join("\n");
  const variables = new Set(css.match(/--mw-[\w-]+(?=:)/g));
  assert.deepEqual([...variables].filter((name) => !css.includes(`var(${name}`)), []);
});

test("every word is shown somewhere", () => {
  const strings = readFileSync(join(here, "src/strings.ts"), "utf8");
  const keys = [...strings.matchAll(/^export const (\w+) =/gm)].map(([, key]) => key);
  assert.ok(keys.length > 300);
  assert.deepEqual(keys.filter((key) => !new RegExp(`say\\.${key}\\b`).test(code)), []);
});

test("a component keeps its identity: none is put where it is used, to be another one at each drawing", async () => {
  const named = await assets({ mangle: false });
  for (const { text } of named.filter(({ name }) => name.endsWith(".js"))) {
    const [, draw] = /([\w$]+)\("div",/.exec(text);
    const called = text.split(new RegExp(`(?<![\\w$.])${draw.replaceAll("$", "\\$")}\\(`)).slice(1);
    assert.ok(called.length > 150);
    assert.deepEqual(called.filter((rest) => /^(?:function|class|\(|[\w$]+=>)/.test(rest)), []);
  }
});
