import assert from "node:assert/strict";
import { test } from "node:test";

import { renderToString } from "preact-render-to-string";

import { FakeHost } from "../gallery/fake";
import * as sample from "../gallery/samples";
import { App } from "../src/app";
import { segmentsOf } from "../src/later/diskpieces";
import { type Point, Spark, piecesOf } from "../src/spark";
import { noteSpeed } from "../src/speed";

const window = { fromMs: 0, toMs: 100, gapMs: 10 };
const points = (...all: [at: number, value: number | null][]): Point[] =>
  all.map(([at, value]) => ({ at, value }));

test("each byte of the disk is in one segment, models first", () => {
  const { used_bytes, partial_bytes, free_bytes } = sample.disk;
  const others = { other_models: 12, other_bytes: 7.6e9 };
  const segments = segmentsOf({ ...sample.disk, ...others });
  const bytes = segments.reduce((sum, segment) => sum + segment.bytes, 0);

  assert.equal(Math.round(bytes), used_bytes + others.other_bytes + (partial_bytes ?? 0) + (free_bytes ?? 0));
  assert.deepEqual(
    segments.map(({ kind }) => kind),
    [...Array<string>(6).fill("model"), "others", "shared", "partial", "unused", "free"],
  );
  assert.equal(segments[6]?.title, "12 more models");
});

test("a store that cannot be read is not drawn, because its bytes would count twice", () => {
  assert.deepEqual(segmentsOf({ ...sample.disk, exact: false }), []);
  assert.doesNotMatch(
    renderToString(<App host={new FakeHost({ service: sample.service, disk: null })} />),
    /mw-disk-bar/,
  );
});

test("much free space is cut and says so, little is drawn to scale", () => {
  const free = (bytes: number) => segmentsOf({ ...sample.disk, free_bytes: bytes }).at(-1);

  assert.deepEqual([free(312e9)?.title, free(312e9)?.grow], ["free (not to scale)", 0.3]);
  assert.equal(free(1e9)?.title, "free");
  assert.ok((free(1e9)?.grow ?? 1) < 0.03);
});

test("each segment that leads to a model says so, and the others stay out of the way", () => {
  const html = renderToString(
    <App host={new FakeHost({ service: sample.service, installed: sample.installed, disk: sample.disk })} />,
  );

  assert.match(html, /<button [^>]*aria-label="Show qwen3:32b, 20\.2 GB"/);
  assert.match(html, /<span [^>]*title="shared by several models: 7\.9 GB" aria-hidden="true"/);
  assert.match(html, /aria-label="What lies on the disk, as a table" aria-expanded="false"/);
});

test("what was not seen is a hole in the line, not a line", () => {
  const pieces = piecesOf({ ...window, points: points([0, 1], [10, 2], [30, 3], [40, null], [45, 4]) });

  assert.deepEqual(
    pieces.map((piece) => piece.map(({ at }) => at)),
    [[0, 10], [30], [45]],
  );
});

test("points outside the window are not drawn", () => {
  assert.deepEqual(piecesOf({ ...window, points: points([-1, 1], [101, 2]) }), []);
});

test("a line carries its words, or leaves them to the text beside it", () => {
  const props = { ...window, points: points([0, 1], [10, 2]), most: 4 };

  assert.match(renderToString(<Spark {...props} label="Memory" />), /role="img" aria-label="Memory"/);
  assert.match(renderToString(<Spark {...props} />), /aria-hidden="true"/);
  assert.match(renderToString(<Spark {...props} />), /d="M0 14\.5L10 10"/);
});

test("each GPU has a line with its numbers in words", () => {
  const gpus = [sample.gpu, { ...sample.gpu, index: 1, name: "Other <b>card</b>" }];
  const html = renderToString(
    <App
      host={
        new FakeHost({
          service: sample.service,
          devices: { ...sample.devices, gpus },
          gpu_memory: sample.gpuMemory(2),
        })
      }
    />,
  );

  assert.match(html, /aria-label="Memory used of NVIDIA GeForce RTX 4090 in the last 10 minutes: between 1\.2 GiB/);
  assert.match(html, /aria-label="Memory used of Other &lt;b>card/);
});

test("a stalled pull is noted as zero, an unknown speed as nothing, and a minute is kept", () => {
  const speeds = new Map<string, Point[]>([["gone", points([0, 1])]]);
  const pull = sample.pull("a");
  const note = (at: number, fields: object) => noteSpeed(speeds, [{ ...pull, ...fields }], pull.id, at);

  note(1000, { bytes_per_second: 5 });
  note(1100, { bytes_per_second: 9 });
  note(2000, { bytes_per_second: null, phase: "stalled" });
  note(3000, { bytes_per_second: null });
  assert.deepEqual(speeds.get(pull.id), points([1000, 5], [2000, 0], [3000, null]));
  note(62_500, { bytes_per_second: 7 });

  assert.deepEqual(speeds.get(pull.id), points([3000, null], [62_500, 7]));
  assert.equal(speeds.has("gone"), false);
});
