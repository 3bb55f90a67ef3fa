import assert from "node:assert/strict";
import { test } from "node:test";

import { renderToString } from "preact-render-to-string";

import { FakeHost } from "../gallery/fake";
import * as sample from "../gallery/samples";
import { alike, subjectOf } from "../src/later/alike";
import { Details } from "../src/later/details";
import { factsOf, knownOf } from "../src/later/facts";
import * as format from "../src/format";
import { Layers } from "../src/later/layers";
import { Snippets } from "../src/later/snippets";
import { Tags } from "../src/later/tags";
import type { CatalogTag, ModelDetails } from "../src/records";

const GB = 1e9;

test("every fact that was asked for has its line", () => {
  const facts = Object.fromEntries(factsOf(sample.details).map(({ title, text }) => [title, text]));

  assert.deepEqual(
    [
      facts["Format"],
      facts["Family"],
      facts["Families"],
      facts["Parameters"],
      facts["Quantization"],
      facts["Bits per weight"],
      facts["Capabilities"],
      facts["Context length"],
      facts["Embedding length"],
      facts["Licence"],
      facts["Publisher"],
      facts["Digest"],
      facts["Model page"],
    ],
    [
      "gguf",
      "gemma3",
      "", // as there is but the one
      "12.2 B",
      "Q4_K_M",
      "5.35",
      "completion, vision",
      "131,072 tokens",
      "3,840",
      "gemma",
      "Google DeepMind",
      sample.details.installed?.digest,
      "https://ollama.com/library/gemma3",
    ],
  );
});

test("the number of parameters is told where it was counted, not where a label was rounded", () => {
  const info = { ...sample.details.info, model_info: { "general.parameter_count": 12_187_325_040 } };
  const counted = factsOf({ ...sample.details, info } as typeof sample.details);
  const rounded = factsOf(sample.details);

  const told = (facts: typeof counted) => facts.find(({ title }) => title === "Parameters")?.text;
  assert.equal(told(counted), "12.2 B (12,187,325,040)");
  assert.equal(told(rounded), "12.2 B");
});

test("experts and projector are told where the header has them", () => {
  const info = {
    ...sample.details.info,
    model_info: { "general.architecture": "x", "x.expert_count": 128, "x.expert_used_count": 8 },
    projector_info: { "general.architecture": "clip" },
  };
  const facts = factsOf({ ...sample.details, info } as typeof sample.details);

  const told = (wanted: string) => facts.find(({ title }) => title === wanted)?.text;
  assert.equal(told("Experts"), "8 of 128 used at a time");
  assert.equal(told("Projector"), "clip");
});

test("a catalog model tells what its tag tells, also under another name of that tag", () => {
  const family = sample.family("phi4", {
    tags: [sample.tag("phi4:14b", { same_as: ["latest"], projector_bytes: 0.9 * GB, size_exact: false })],
  });
  const details = { ...sample.detailsOf("phi4:latest"), catalog: family };
  const told = Object.fromEntries(factsOf(details).map(({ title, text }) => [title, text]));

  assert.equal(told["Size"], "about 2.0 GB");
  assert.equal(told["Projector"], "900 MB");
  assert.equal(told["Context length"], "131,072 tokens");
});

test("what the lists tell is shown before anybody has answered", () => {
  const host = new FakeHost({ installed: sample.installed, catalog: sample.catalog });
  const html = renderToString(<Details name="gemma3:12b" host={host} />);

  assert.match(html, /Google DeepMind/);
  assert.match(html, /Loading details/);
});

test("layers tell how many of them are shared", () => {
  const html = renderToString(<Layers details={sample.details} />);

  assert.match(html, /5 · 8\.2 GB · 2 shared/);
});

test("code is shown with its install line, one library at a time", () => {
  const html = renderToString(<Snippets snippets={sample.snippets("gemma3:12b", "Pull it first.")} />);

  assert.match(html, /Pull it first\./);
  assert.match(html, /pip install ollama</);
  assert.match(html, /aria-pressed="true"[^>]*>Ollama client</);
  assert.equal(html.match(/<pre/g)?.length, 1);
});

test("tags tell their other names", () => {
  const tags = [sample.tag("phi4:14b", { same_as: ["latest", "14b-q4_K_M", "14b-fp"] })];
  const html = renderToString(<Tags tags={tags} host={new FakeHost()} />);

  assert.match(html, /title="= latest, 14b-q4_K_M, 14b-fp">= latest, 14b-q4_K_M</);
});

const CATALOG = [
  sample.family("same", { tags: [sample.tag("same:8b", { size_bytes: 5 * GB })] }),
  sample.family("near", {
    tags: [
      sample.tag("near:1b", { size_bytes: 1 * GB }),
      sample.tag("near:7b", { size_bytes: 4.6 * GB }),
      sample.tag("near:70b", { size_bytes: 40 * GB }),
    ],
  }),
  sample.family("far", { tags: [sample.tag("far:70b", { size_bytes: 60 * GB })] }),
  sample.family("both", {
    categories: ["chat", "vision"],
    tags: [sample.tag("both:8b", { size_bytes: 5 * GB })],
  }),
  sample.family("other", {
    categories: ["embedding"],
    tags: [sample.tag("other:8b", { size_bytes: 5 * GB })],
  }),
  sample.family("unsized", { tags: [sample.tag("unsized:8b", { size_bytes: null })] }),
];

test("what is like a model has its categories and nearly its size, one tag a family", () => {
  const subject = { name: "same:8b", categories: ["chat"], bytes: 5 * GB };

  assert.deepEqual(
    alike(subject, CATALOG).map(({ name }) => name),
    ["near:7b", "both:8b", "unsized:8b", "far:70b"],
  );
});

test("what is like a model does not depend on the order of the catalog", () => {
  const subject = { name: "llama3.1:8b", categories: ["chat", "tools"], bytes: 5 * GB };

  assert.deepEqual(alike(subject, sample.catalog.models.toReversed()), alike(subject, sample.catalog.models));
});

test("among 5,000 families the like ones and a name are found in a frame", () => {
  const catalog = sample.largeCatalog(5000);
  const slices = { installed: sample.installed, catalog };
  const subject = { name: "family-7:7b", categories: ["code"], bytes: 4.7 * GB };
  alike(subject, catalog.models);
  knownOf("family-4999:7b", slices);

  let found: readonly CatalogTag[] = [];
  let known: ModelDetails | null = null;
  const took = Array.from({ length: 5 }, () => {
    const before = performance.now();
    found = alike(subject, catalog.models);
    known = knownOf("family-4999:7b", slices);
    return performance.now() - before;
  });
  const tookMs = Math.min(...took); // other processes only ever add to it

  assert.equal(found.length, 5);
  assert.equal((known as ModelDetails | null)?.catalog?.name, "family-4999");
  assert.ok(tookMs < 100, `${tookMs} ms`);
});

test("without a size the recommended tags of the same categories stand first", () => {
  const subject = { name: "cloud", categories: ["chat", "tools"], bytes: null };

  assert.deepEqual(
    alike(subject, sample.catalog.models, 2).map(({ name }) => name),
    ["llama3.1:8b", "llama3.2:3b"],
  );
});

test("a model that the catalog does not know is judged by what it can do", () => {
  const embedding = sample.detailsOf("nomic-embed-text:latest");
  const cloud = sample.cloudDetails;

  assert.deepEqual(subjectOf({ ...embedding, catalog: null }, null), {
    name: "nomic-embed-text:latest",
    categories: ["embedding"],
    bytes: 0.274 * GB,
  });
  assert.equal(subjectOf(cloud, null).bytes, null);
  assert.deepEqual(subjectOf(sample.emptyDetails, null).categories, ["chat"]);
});

test("hostile texts stay text, and nothing in them reorders what is read", () => {
  const { hostileDetails } = sample;
  const html = [
    renderToString(<Layers details={hostileDetails} />),
    renderToString(<Snippets snippets={hostileDetails.snippets} />),
    renderToString(<Tags tags={hostileDetails.catalog?.tags ?? []} host={new FakeHost()} />),
    ...factsOf(hostileDetails).map(({ text, show }) => renderToString(<p>{show ?? format.name(text)}</p>)),
  ].join("");

  const outside = html.replace(/<pre.*?<\/pre>/gs, "");
  assert.deepEqual(outside.match(/<script|<img|\u202e|\u001b/g), null);
  assert.deepEqual(html.match(/<script|<img/g), null);
});

test("prose keeps its lines and loses what steers", () => {
  assert.equal(format.prose("one\n\ttwo \u202egpj\u202c \u001b[31m"), "one\n\ttwo \ufffdgpj\ufffd \ufffd[31m");
});
