import assert from "node:assert/strict";
import { test } from "node:test";

import { pull } from "../gallery/samples";
import { EMPTY, type Store, apply } from "../src/store";

const [one, other] = [pull("one"), pull("other")];

function withPulls(rev: number): Store {
  return apply(EMPTY, { op: "slice", name: "pulls", rev, value: [one, other] }).store;
}

test("a slice replaces what was there, also with a smaller revision", () => {
  const { store, changed, gap } = apply(withPulls(7), { op: "slice", name: "pulls", rev: 1, value: [] });

  assert.deepEqual(store.slices.pulls, []);
  assert.deepEqual([changed, gap], ["pulls", false]);
});

test("a patch merges fields into its row and leaves the others as they are", () => {
  const { store, changed } = apply(withPulls(3), {
    op: "patch",
    name: "pulls",
    rev: 4,
    rows: { [one.id]: { completed_bytes: 5e9 } },
  });

  assert.deepEqual(store.slices.pulls[0], { ...one, completed_bytes: 5e9 });
  assert.equal(store.slices.pulls[1], other);
  assert.equal(changed, "pulls");
});

test("a patch brings new rows whole, takes off what is gone, and gives the order", () => {
  const third = pull("third");
  const came = apply(withPulls(3), { op: "patch", name: "pulls", rev: 4, rows: { [third.id]: { ...third } } });
  const ids = [third.id, one.id];
  const { store } = apply(came.store, { op: "patch", name: "pulls", rev: 5, rows: {}, ids });

  assert.deepEqual(
    came.store.slices.pulls.map(({ id }) => id),
    [one.id, other.id, third.id],
  );
  assert.deepEqual(store.slices.pulls, [third, one]);
  assert.equal(store.slices.pulls[1], one);
});

test("an order of rows that never came is a gap", () => {
  const patch = { op: "patch", name: "pulls", rev: 4, rows: {}, ids: [one.id, "nobody"] } as const;

  assert.equal(apply(withPulls(3), { ...patch, ids: [...patch.ids] }).gap, true);
});

test("a patch after a missed message changes nothing and reports the gap", () => {
  const before = withPulls(3);

  const { store, changed, gap } = apply(before, {
    op: "patch",
    name: "pulls",
    rev: 5,
    rows: { [one.id]: { phase: "done" } },
  });

  assert.equal(store, before);
  assert.deepEqual([changed, gap], [null, true]);
});

test("a patch that came before is no gap", () => {
  const { changed, gap } = apply(withPulls(3), {
    op: "patch",
    name: "pulls",
    rev: 3,
    rows: { [one.id]: { phase: "done" } },
  });

  assert.deepEqual([changed, gap], [null, false]);
});

test("a patch of an unknown row, of no rows or before any slice is a gap", () => {
  const patch = { op: "patch", name: "pulls", rev: 4, rows: { nobody: {} } } as const;

  assert.equal(apply(withPulls(3), patch).gap, true);
  assert.equal(apply(EMPTY, patch).gap, true);
  assert.equal(apply(EMPTY, { ...patch, name: "service", rev: 1 }).gap, true);
});

test("a patch of the marks changes these and no others", () => {
  const mark = { verdict: "full", fits: true, needed_bytes: 1, gpu_layers: 2, layer_count: 2, basis: "catalog" } as const;
  const value = { context_length: 4096, judged: true, marks: { a: mark, b: mark } };
  const before = apply(EMPTY, { op: "slice", name: "fits", rev: 1, value }).store;
  const less = { ...mark, verdict: "partial", fits: false } as const;

  const { store } = apply(before, { op: "patch", name: "fits", rev: 2, rows: { b: less, c: mark } });

  assert.deepEqual(store.slices.fits, { ...value, marks: { a: mark, b: less, c: mark } });
  assert.equal(store.slices.fits?.marks["a"], before.slices.fits?.marks["a"]);
});

test("slices of a newer Python side are passed over", () => {
  for (const name of ["huggingface", "__proto__", "constructor"]) {
    const { store, changed, gap } = apply(EMPTY, { op: "slice", name, rev: 1, value: [] });

    assert.equal(store, EMPTY);
    assert.deepEqual([changed, gap], [null, false]);
  }
});
