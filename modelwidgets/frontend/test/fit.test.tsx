import assert from "node:assert/strict";
import { test } from "node:test";

import { renderToString } from "preact-render-to-string";

import { FakeHost } from "../gallery/fake";
import * as sample from "../gallery/samples";
import { App } from "../src/app";
import { fitWords } from "../src/fit";
import { barsOf, settingOf, stopAt } from "../src/later/fitbars";
import { Judged } from "../src/later/fitcard";
import { whyNot } from "../src/later/pullquestion";
import type { FitCard, FitStop } from "../src/records";

const GIB = 2 ** 30;
const { fitCards: cards } = sample;

function words(html: string): string {
  return html
    .replace(/<[^>]*>/g, " ")
    .replace(/\s+/g, " ")
    .trim();
}

function shown(card: FitCard, service = sample.service): string {
  return words(renderToString(<Judged card={card} host={new FakeHost({ service })} again={() => {}} />));
}

const placed = (fields: Partial<FitStop>): FitStop => ({
  verdict: "full",
  gpu_layers: 0,
  experts_in_ram: 0,
  total_bytes: 0,
  ram_bytes: 0,
  terms: [],
  ...fields,
});

test("each verdict has its words", () => {
  const said = (["full", "moe-partial", "partial", "cpu", "no", null] as const).map((verdict) =>
    fitWords({ verdict, gpu_layers: 41, layer_count: 65, experts_in_ram: 12 }),
  );

  assert.deepEqual(said, [
    "full GPU",
    "experts of 12 layers in RAM",
    "41 of 65 layers",
    "CPU only",
    "does not fit",
    "unknown",
  ]);
});

test("both tables mark what fits, and a model without a mark has a dash", () => {
  const marks = { "llama3.2:3b": sample.markOf("partial", { gpu_layers: 20, layer_count: 29 }), "llama3.1:8b": sample.markOf("no") };
  const fits = { ...sample.fits, marks };
  const text = words(renderToString(<App host={new FakeHost({ ...sample.known, fits })} />));
  const catalog = words(renderToString(<App host={new FakeHost({ ...sample.known, fits }, { tab: "catalog" })} />));

  assert.match(text, /llama3\.2:3b in memory tools 3\.2 B Q4_K_M 2\.0 GB 20 of 29 layers yesterday/);
  assert.match(text, /gemma3:12b vision 12\.2 B Q4_K_M 8\.2 GB – /);
  assert.match(catalog, /70B 8B 405B 4\.9 GB does not fit 118\.7M/);
});

test("a bar holds all of its device: others, the model's parts, and what is free", () => {
  const { report } = cards.full;
  const stop = stopAt(cards.full.stops, settingOf(cards.full.stops, report)) as FitStop;
  const [gpu, ram] = barsOf(stop, report.devices);

  for (const bar of [gpu, ram]) {
    const sum = bar?.pieces.reduce((all, { bytes }) => all + bytes, 0) ?? 0;
    assert.ok(Math.abs(sum - (bar?.capacityBytes ?? 0)) < 1);
    assert.equal(bar?.scaleBytes, bar?.capacityBytes);
  }
  assert.deepEqual(
    gpu?.pieces.map(({ kind }) => kind),
    ["others", "weights", "kv_cache", "compute", "overhead", "free"],
  );
});

test("what is asked beyond a device makes its bar longer, and says by how much", () => {
  const [gpu] = barsOf(placed({ terms: [["weights", 0, 20 * GIB]] }), sample.devices);

  assert.equal(gpu?.pieces.at(-1)?.kind, "over");
  assert.ok(Math.abs((gpu?.pieces.at(-1)?.bytes ?? 0) - 3.2 * GIB) < 1);
  assert.ok(Math.abs((gpu?.scaleBytes ?? 0) - 27.2 * GIB) < 1);
});

test("without a machine a bar has only the parts, and no RAM that nothing is in", () => {
  const bars = barsOf(placed({ verdict: null, terms: [["weights", 0, GIB]] }), null);

  assert.deepEqual(bars, [
    { title: "GPU", capacityBytes: null, scaleBytes: GIB, pieces: [{ kind: "weights", bytes: GIB }] },
  ]);
});

test("a GPU that cannot be seen by the server has no bar", () => {
  const hidden = { ...sample.gpu, index: 1, visible: false };
  const bars = barsOf(placed({}), { ...sample.devices, gpus: [sample.gpu, hidden] });

  assert.deepEqual(bars.map(({ title }) => title), ["RTX 4090", "RAM"]);
});

test("a setting between two stops takes the smaller context", () => {
  const { stops } = cards.full;
  const setting = settingOf(stops, { context_length: 5000, kv_cache_type: "q8_0", num_parallel: 2 });

  assert.deepEqual(setting, { cache: 1, parallel: 1, context: 1 });
  assert.equal(stopAt({ ...stops, results: [] }, setting), null);
});

test("the card says verdict, memory, basis, each part, who else is there and which GPU would do", () => {
  const text = shown(cards.partial);

  assert.match(text, /^\d+ of 65 layers on the GPU 2\d\.\d GiB in all · by the header of its file/);
  assert.match(text, /Context 32,768 tokens KV cache as f16 \(default\) q8_0 q4_0 Requests at a time 1 \(default\) 2 4/);
  assert.match(text, /Part RTX 4090 RAM In use by others 7\.2 GiB 22\.7 GiB Weights 1\d\.\d GiB/);
  assert.match(text, /Whole on 32 GiB, such as RTX 5090\. Others now: firefox 0\.6 GiB, gemma3:12b 6\.6 GiB\./);
  assert.match(text, /Pull 32b-q3_K_M instead: 15\.1 GB/);
  assert.match(text, /Context of 2,048: partly on the GPU, 19\.6 GiB/);
});

test("a model in memory is compared with what was to be expected", () => {
  assert.match(shown(cards.loaded), /In memory now: estimated 5\.2 GiB, in fact 5\.3 GiB\./);
});

test("the machine of a server elsewhere is not judged", () => {
  assert.match(shown(cards.unknown, { ...sample.service, local: false }), /^unknown: the server is on another machine/);
});

test("a range is said where something is a guess, and what is not worked out yet is said too", () => {
  assert.match(shown(cards.experts), /^experts of \d+ layers in RAM .* between 19\.0 GiB and 24\.0 GiB/);
  const later = { ...cards.full, stops: { ...cards.full.stops, results: [] } };
  assert.match(shown(later), /^full GPU/);
});

test("names and notes of strangers stay text", () => {
  const bad = '<img src=x onerror="alert(1)">\u202e';
  const report = {
    ...cards.full.report,
    notes: [bad],
    users: [{ name: bad, gpu: 0, used_bytes: GIB, pid: 1 }],
    devices: { ...sample.devices, gpus: [{ ...sample.gpu, name: bad }] },
    recommended_gpu: { memory_bytes: GIB, count: 2, needed_bytes: GIB, cards: [bad] },
  };
  const html = renderToString(<Judged card={{ ...cards.full, report }} host={new FakeHost()} again={() => {}} />);

  assert.doesNotMatch(html, /<img/);
  assert.doesNotMatch(html, /\u202e/);
});

test("what does not fit is said with the numbers of this machine", () => {
  const mark = sample.markOf("no", { needed_bytes: 141 * GIB });

  assert.equal(
    whyNot("qwen3:235b", mark, sample.devices),
    "qwen3:235b needs about 141 GiB of memory and does not fit: this machine has 16.8 GiB on GPUs and 41.3 GiB of RAM free.",
  );
  assert.match(whyNot("qwen3:235b", mark, sample.noGpu), /this machine has 41\.3 GiB of RAM free\.$/);
});
