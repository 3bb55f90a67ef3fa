import assert from "node:assert/strict";
import { test } from "node:test";

import { renderToString } from "preact-render-to-string";

import { FakeHost } from "../gallery/fake";
import * as sample from "../gallery/samples";
import { Compare, rowsOf } from "../src/later/compare";
import { knownOf } from "../src/later/facts";
import { EMPTY } from "../src/store";

const slices = { ...EMPTY.slices, installed: sample.installed, catalog: sample.catalog };

function drawn(names: string[]): string {
  const host = new FakeHost(slices);
  return renderToString(<Compare names={names} host={host} onClose={() => {}} />);
}

test("installed and catalog models stand side by side before anybody has answered", () => {
  const html = drawn(["gemma3:12b", "llama3.1:8b"]);

  assert.equal(html.match(/<th scope="col">/g)?.length, 3);
  assert.match(html, /8\.2 GB<\/td><td>4\.9 GB/);
  assert.match(html, /Google DeepMind<\/td><td>Meta/);
});

test("what differs is marked with a sign and in words, and what agrees is not", () => {
  const html = drawn(["gemma3:12b", "qwen3:32b"]);
  const row = (title: string) => new RegExp(`<tr[^>]*><th scope="row">${title}(.*?)</th>`).exec(html)?.[1];

  assert.match(row("Parameters") ?? "", /≠.*\(differs\)/);
  assert.equal(row("Quantization"), "");
});

test("what only one of them says does not differ", () => {
  const [one, other] = ["gemma3:12b", "hf.co/ada/notes-GGUF:Q4_K_M"].map((name) => ({
    details: knownOf(name, slices),
  }));
  const rows = rowsOf([one as never, other as never]);

  assert.deepEqual(
    rows.filter(({ title }) => ["Publisher", "Categories"].includes(title)).map(({ differs }) => differs),
    [true, false],
  );
});

test("at most four models are compared, each once", () => {
  const html = drawn(["gemma3:12b", "GEMMA3:12B", ...sample.models.map(({ name }) => name)]);

  assert.equal(html.match(/<th scope="col">/g)?.length, 5);
});

test("a family stands for its recommended tag, and a name that only leads elsewhere for that tag", () => {
  const aliased = {
    ...slices,
    catalog: {
      ...sample.catalog,
      models: [
        sample.family("phi4", {
          tags: [sample.tag("phi4:14b", { recommended: true, same_as: ["latest", "14b-q4_K_M"] })],
        }),
      ],
    },
  };

  assert.equal(knownOf("phi4:14b-q4_K_M", aliased)?.name, "phi4:14b");
  assert.equal(knownOf("phi4", aliased)?.name, "phi4:14b");
  assert.equal(knownOf("gemma3", { ...slices, installed: EMPTY.slices.installed })?.name, "gemma3:latest");
  assert.equal(knownOf("llama9:latest", slices), null);
});

test("hostile texts stay text side by side", () => {
  const hostile = { ...sample.installed, models: sample.hostile };
  const host = new FakeHost({ ...slices, installed: hostile });
  const html = renderToString(
    <Compare names={sample.hostile.map(({ name }) => name)} host={host} onClose={() => {}} />,
  );

  assert.doesNotMatch(html, /<script|<img|<i>tools|\u202e/);
});
