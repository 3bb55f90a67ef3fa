import assert from "node:assert/strict";
import { test } from "node:test";

import { type Column, byName, byNumber, byText, sorted } from "../src/columns";
import { pieces, visibleRange } from "../src/window";

const rowAt = (name: string, size: number | null) => ({ name, size });
type Row = ReturnType<typeof rowAt>;
const keyOf = (row: Row) => row.name;
const SIZE: Column<Row> = { id: "size", title: "Size", cell: keyOf, order: byNumber((row) => row.size) };
const NAME: Column<Row> = { id: "name", title: "Name", cell: keyOf, order: byText(keyOf) };

test("rows that compare equal stand by name, whichever way the column is sorted", () => {
  const rows = [rowAt("b", 1), rowAt("c", 2), rowAt("a", 1)];

  assert.deepEqual(sorted(byName(rows, keyOf), SIZE, false).map(keyOf), ["a", "b", "c"]);
  assert.deepEqual(sorted(byName(rows, keyOf), SIZE, true).map(keyOf), ["c", "a", "b"]);
});

test("unknown numbers count as the smallest", () => {
  const rows = [rowAt("known", 0), rowAt("unknown", null), rowAt("also unknown", null)];

  assert.deepEqual(sorted(byName(rows, keyOf), SIZE, false).map(keyOf), ["also unknown", "unknown", "known"]);
});

test("numbers within names count as numbers", () => {
  const rows = [rowAt("m:70b", 1), rowAt("m:8b", 1), rowAt("M:1b", 1)];

  assert.deepEqual(sorted(rows, NAME, false).map(keyOf), ["M:1b", "m:8b", "m:70b"]);
});

test("a short table is drawn whole", () => {
  assert.deepEqual(visibleRange(0, 100, 40, 33, null), [0, 40]);
});

test("of a long table the visible rows are drawn, and some around them", () => {
  const [first, last] = visibleRange(33_000, 480, 5000, 33, null);

  assert.ok(first < 1000 && first > 950, `first ${first}`);
  assert.ok(last > 1015 && last < 1060, `last ${last}`);
});

test("the range stays inside the table", () => {
  assert.deepEqual(visibleRange(1e9, 480, 5000, 33, null), [5000, 5000]);
  assert.equal(visibleRange(5000 * 33 - 480, 480, 5000, 33, null)[1], 5000);
  assert.equal(visibleRange(0, 480, 5000, 33, null)[0], 0);
});

test("the height of an open panel moves the rows below it down", () => {
  const open = { index: 10, heightPx: 1000 };

  assert.deepEqual(visibleRange(40_000, 480, 5000, 33, open), visibleRange(39_000, 480, 5000, 33, null));
  assert.deepEqual(
    visibleRange(11 * 33 + 100, 300, 5000, 33, open),
    visibleRange(10 * 33, 0, 5000, 33, null),
  );
});

test("pinned rows outside the range are drawn, gaps stand for the others", () => {
  assert.deepEqual(pieces([10, 12], [3, 11, -1, 99], 100), [
    { gap: 3, before: 3 },
    { row: 3 },
    { gap: 6, before: 10 },
    { row: 10 },
    { row: 11 },
    { gap: 87, before: 99 },
    { row: 99 },
  ]);
});

test("rows and gaps together are always as many as the rows", () => {
  for (const range of [
    [0, 5],
    [5, 5],
    [90, 100],
  ] as [number, number][]) {
    const all = pieces(range, [0, 50, 99], 100).reduce(
      (sum, piece) => sum + ("gap" in piece ? piece.gap : 1),
      0,
    );

    assert.equal(all, 100);
  }
});
