import assert from "node:assert/strict";
import { test } from "node:test";

import * as format from "../src/format";

const NOW = Date.parse("2026-11-21T12:00:00Z");

test("disk sizes are powers of 1000, with one decimal while that matters", () => {
  const sizes = [
    0, 384, 8432, 274_302_450, 2_019_393_189, 41_300_000_000, 312_000_000_000, 1_240_000_000_000,
  ];

  const texts = sizes.map(format.disk);

  assert.deepEqual(texts, ["0 B", "384 B", "8.4 kB", "274 MB", "2.0 GB", "41.3 GB", "312 GB", "1.2 TB"]);
});

test("a part is shown in the unit of its total", () => {
  assert.equal(format.diskOf(4.7e9, 8.1e9), "4.7 of 8.1 GB");
  assert.equal(format.diskOf(46e6, 8.1e9), "0.0 of 8.1 GB");
  assert.equal(format.diskOf(0, 0), "0 of 0 B");
});

test("memory is in powers of 1024", () => {
  assert.equal(format.memory(6.1 * 2 ** 30), "6.1 GiB");
  assert.equal(format.memoryOf(16.8 * 2 ** 30, 24 * 2 ** 30), "16.8 of 24.0 GiB");
});

test("the percent is rounded down, so that 100.0% means all of it", () => {
  assert.equal(format.percent(999_999, 1_000_000), "99.9%");
  assert.equal(format.percent(1_000_000, 1_000_000), "100.0%");
  assert.equal(format.percent(1, 3), "33.3%");
  assert.equal(format.percent(0, 0), "100.0%");
});

test("durations take the two units that matter", () => {
  const texts = [0.4, 58.6, 65, 3600, 7800, 400_000].map(format.duration);

  assert.deepEqual(texts, ["0 s", "59 s", "1 min 5 s", "1 h 0 min", "2 h 10 min", "5 days"]);
});

test("dates are told relative to now", () => {
  const dates = [
    "2026-11-21T11:59:50Z",
    "2026-11-21T10:00:00+00:00",
    "2026-11-20T10:00:00Z",
    "2024-01-01T00:00:00Z",
  ];

  const texts = dates.map((iso) => format.relative(iso, NOW));

  assert.deepEqual(texts, ["now", "2 hours ago", "yesterday", "2 years ago"]);
});

test("what is no date is shown as it came", () => {
  assert.equal(format.relative("soon", NOW), "soon");
  assert.equal(format.date("soon"), "soon");
});

test("labels of parameters get a space before their unit, anything else stays", () => {
  assert.deepEqual(["3.2B", "137M", "8x7B", ""].map(format.parameters), ["3.2 B", "137 M", "8x7B", ""]);
});

test("context lengths are counted in 1024", () => {
  assert.deepEqual([512, 2048, 131_072].map(format.tokens), ["512", "2K", "128K"]);
});

test("marks that reorder or hide letters of a name are made visible, and other directions set apart", () => {
  assert.equal(format.name("\u202egpj.exe\u202c"), "\ufffdgpj.exe\ufffd");
  assert.equal(format.name("\u001b[31mred"), "\ufffd[31mred");
  assert.equal(format.name("نموذج:latest"), "\u2068نموذج:latest\u2069");
});
