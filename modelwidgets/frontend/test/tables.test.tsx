import assert from "node:assert/strict";
import { test } from "node:test";

import { renderToString } from "preact-render-to-string";

import { FakeHost } from "../gallery/fake";
import * as sample from "../gallery/samples";
import { App } from "../src/app";
import { sentencesOf } from "../src/later/bulk";
import { recommendedOf } from "../src/families";
import { type Look, readLook } from "../src/look";
import { between } from "../src/selection";
import { sharing } from "../src/sharing";

const FIRST: Look = { sort: { column: "changed", down: true }, columns: {}, compact: false };
const PLAN = {
  names: ["a", "b"],
  frees_bytes: 3e9,
  exact: true,
  kept_bytes: 0,
  shared_with: [],
  running: [],
  missing: [],
};

test("a table is a grid in which many rows can be selected", () => {
  const html = renderToString(<App host={new FakeHost({ service: sample.service, installed: sample.installed })} />);

  assert.match(html, /role="grid"[^>]*aria-multiselectable="true"/);
  assert.equal(html.match(/<tr[^>]*aria-selected="false"/g)?.length, sample.models.length);
  assert.match(html, /<input type="checkbox"[^>]*aria-label="Select gemma3:12b"/);
});

test("the row that Python chose is the current one, not a marked one", () => {
  const host = new FakeHost({ installed: sample.installed, service: sample.service }, { selected: "gemma3:12b" });
  const html = renderToString(<App host={host} />);

  assert.equal(html.match(/<tr[^>]*aria-selected="false"[^>]*aria-current="true"/g)?.length, 1);
});

test("a look is read as far as it can be read", () => {
  const kept = { sort: { column: "size", down: false }, columns: { digest: true }, compact: true };

  assert.deepEqual(readLook(JSON.stringify(kept), FIRST), kept);
  for (const text of [null, "", "{", "7", "null", "[]", '{"sort":{"column":3}}', '{"columns":{"a":"yes"}}']) {
    assert.deepEqual(readLook(text, FIRST), FIRST, String(text));
  }
});

test("deleting many is told in sentences", () => {
  assert.deepEqual(sentencesOf(PLAN), ["Deleting 2 models frees 3.0 GB in all."]);
  assert.deepEqual(sentencesOf({ ...PLAN, names: [], frees_bytes: 0, missing: ["a", "b"] }), [
    "a and b are not installed any more.",
  ]);
  const others = ["a", "b", "c", "d", "e", "f", "g"];
  assert.deepEqual(sentencesOf({ ...PLAN, exact: false, kept_bytes: 1e9, shared_with: ["x"], running: others }), [
    "Deleting 2 models frees at most 3.0 GB; layers that models share are counted more than once.",
    "1.0 GB stays because x uses it.",
    "a, b, c, d, e, and 2 more are in memory now and are unloaded first.",
  ]);
});

test("a range has both its ends, whichever comes first", () => {
  assert.deepEqual(between(["a", "b", "c", "d"], "b", "d"), ["b", "c", "d"]);
  assert.deepEqual(between(["a", "b", "c", "d"], "c", "a"), ["a", "b", "c"]);
});

test("a family stands for its recommended tag, or its first", () => {
  const family = sample.catalog.models.find(({ name }) => name === "gemma3") as never;

  assert.equal(recommendedOf(family)?.name, "gemma3:4b");
  assert.equal(recommendedOf({ ...(family as object), tags: [] } as never), null);
});

test("of new data what did not change stays the same object", () => {
  const before = { models: [{ name: "a", tags: ["x"] }, { name: "b", tags: ["y"] }], as_of: "1" };
  const after = {
    models: [{ name: "new", tags: [] }, { name: "a", tags: ["x"] }, { name: "b", tags: ["z"] }],
    as_of: "2",
  };

  const shared = sharing(before, after);

  assert.deepEqual(shared, after);
  assert.equal(shared.models[1], before.models[0]);
  assert.notEqual(shared.models[2], before.models[1]);
  assert.equal(sharing(before, structuredClone(before)), before);
});

test("what is not alike is taken as it came", () => {
  for (const [before, after] of [
    [null, { a: 1 }],
    [{ a: 1 }, null],
    [[1], { 0: 1 }],
    [{ a: 1, b: 2 }, { a: 1 }],
    [{ a: undefined }, { b: undefined }],
    [[1, 2], [2, 1]],
  ]) {
    assert.deepEqual(sharing(before, after), after);
  }
});
