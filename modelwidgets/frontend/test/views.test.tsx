import assert from "node:assert/strict";
import { test } from "node:test";

import { renderToString } from "preact-render-to-string";

import { FakeHost } from "../gallery/fake";
import * as sample from "../gallery/samples";
import { STATES } from "../gallery/states";
import { newsOf } from "../src/announcer";
import { App } from "../src/app";
import { categoriesOf, sizesOf } from "../src/catalog";
import { wordsOf } from "../src/later/deletion";
import { layerKind } from "../src/later/facts";
import { marksOf } from "../src/later/tags";
import { hostOf, shortGpu } from "../src/header";
import { pullOf } from "../src/hooks";
import type { Options, Slices } from "../src/host";
import { planWords } from "../src/later/lookup";
import { lineOf } from "../src/pull";
import { inOrder, totalsOf } from "../src/pulls";
import * as say from "../src/strings";
import { whatAndWhy } from "../src/trouble";

const known: Partial<Slices> = {
  service: sample.service,
  devices: sample.devices,
  installed: sample.installed,
  running: sample.running,
  catalog: sample.catalog,
  disk: sample.disk,
};

/** The words that a view shows, without its markup. */
function shown(slices: Partial<Slices> = {}, options: Partial<Options> = {}): string {
  return words(renderToString(<App host={new FakeHost({ ...known, ...slices }, options)} />));
}

function words(html: string): string {
  return html
    .replace(/<[^>]*>/g, " ")
    .replace(/&amp;/g, "&")
    .replace(/\s+/g, " ");
}

test("every state of the gallery can be drawn", () => {
  for (const { id, host } of STATES) {
    assert.match(renderToString(<App host={host()} />), /class="mw[ "]/, id);
  }
});

test("the header tells server, GPU and disk", () => {
  const text = shown();

  assert.match(text, /Running Ollama 0\.33\.0 localhost:11434/);
  assert.match(text, /RTX 4090 16\.8 of 24\.0 GiB free/);
  assert.match(text, /Disk 33\.7 GB 312 GB free/);
});

test("GPU memory whose total is a rule of thumb is about that much", () => {
  const text = shown({ devices: { ...sample.devices, gpus: [{ ...sample.gpu, assumed: true }] } });

  assert.match(text, /RTX 4090 about 16\.8 of 24\.0 GiB free/);
});

test("without a GPU the header says why, and tells the RAM", () => {
  const text = shown({ devices: sample.noGpu });

  assert.match(text, /No GPU: the NVIDIA driver library was not found RAM 41\.3 of 64\.0 GiB free/);
});

test("the GPU of this machine is not shown for a server elsewhere", () => {
  const text = shown({ service: { ...sample.service, url: "http://far:11434", local: false } });

  assert.doesNotMatch(text, /RTX 4090/);
  assert.match(text, /cannot be seen from here/);
});

test("disk usage that may count layers twice is an upper bound", () => {
  assert.match(shown({ disk: { ...sample.disk, exact: false } }), /Disk at most 33\.7 GB/);
});

test("tabs carry counts, 0 included", () => {
  assert.match(shown(), /Installed 7 Catalog 7 Pulls 0/);
});

test("an installed row shows parameters, quantization, size and relative date", () => {
  const text = shown({ installed: { ...sample.installed, models: sample.models.slice(1, 2) } });

  assert.match(text, /llama3\.2:3b in memory tools 3\.2 B Q4_K_M 2\.0 GB – yesterday Pull again Delete/);
});

test("a cloud stub shows no size, because its weights are elsewhere", () => {
  const text = shown({ installed: { ...sample.installed, models: sample.models.slice(6) } });

  assert.match(text, /gpt-oss:120b-cloud cloud tools 116\.8 B MXFP4 – /);
});

test("when the service is stopped its rows stay, marked, and their buttons are off", () => {
  const html = renderToString(
    <App
      host={
        new FakeHost({ ...known, service: { ...sample.service, state: "stopped", reason: "Stopped here." } })
      }
    />,
  );

  assert.match(words(html), /Stopped not started/);
  assert.equal(html.match(/>service stopped</g)?.length, sample.models.length);
  assert.match(html, /<button[^>]*aria-disabled="true"[^>]*title="service stopped"[^>]*>Delete</);
});

test("a server that does not answer comes with three ways out", () => {
  const nobody = { ...sample.service, state: "unreachable", reason: null, version: null } as const;
  const text = shown({ service: nobody });

  assert.match(
    text,
    /No Ollama server answers at http:\/\/localhost:11434\. Start it Use the embedded store Connect elsewhere/,
  );
});

test("a reason that names the address is not said twice", () => {
  const because = (reason: string | null) => whatAndWhy({ ...sample.service, reason }, "Nobody answers.");

  assert.deepEqual(because(null), ["Nobody answers.", ""]);
  assert.deepEqual(because("Stopped here."), ["Nobody answers.", "Stopped here."]);
  assert.deepEqual(because("No server at http://localhost:11434 (refused). Start it."), [
    "No server at http://localhost:11434 (refused).",
    "Start it.",
  ]);
  assert.deepEqual(because("No server at http://localhost:11434"), [
    "No server at http://localhost:11434",
    "",
  ]);
});

test("a server elsewhere cannot be started from here", () => {
  const text = shown({ service: { ...sample.service, state: "unreachable", local: false } });

  assert.doesNotMatch(text, /Start it/);
});

test("a list that could not be renewed is marked with its age", () => {
  const text = shown({
    installed: { ...sample.installed, as_of: "2026-11-21T12:03:00Z", stale: "No answer." },
  });

  assert.match(text, /as of 12:03/);
  assert.match(text, /No answer\./);
});

test("no models leads to the catalog", () => {
  assert.match(
    shown({ installed: { ...sample.installed, models: [] } }),
    /No models are installed yet\. Browse the catalog/,
  );
});

test("the catalog shows families with marks, sizes and popularity", () => {
  const text = shown({}, { tab: "catalog" });

  assert.match(text, /gemma3 installed 12b vision Open multimodal models .* 4B 1B 12B \+1 more 3.3 GB – 31\.4M/);
  assert.match(text, /Catalog of Aug 21, 2026/);
});

test("a family stands under each of its categories, and the common ones come first", () => {
  assert.deepEqual(categoriesOf(sample.catalog.models), [
    "chat",
    "tools",
    "code",
    "embedding",
    "reasoning",
    "vision",
  ]);
});

test("sizes are named once each, with the recommended one known", () => {
  assert.deepEqual(sizesOf(sample.catalog.models[0]?.tags ?? []).slice(0, 2), [
    { label: "4B", recommended: true },
    { label: "1B", recommended: false },
  ]);
});

test("a tag with the same manifest under another name is installed as that", () => {
  const digest = sample.digestOf("my-assistant:v2");
  const tags = [
    sample.tag("Gemma3:12B"),
    sample.tag("gemma3:same", { digest }),
    sample.tag("gemma3:short", { digest: digest.slice(0, 12) }),
    sample.tag("gemma3:none", { digest: null }),
  ];

  assert.deepEqual(marksOf(tags, sample.models), ["Installed", "Installed as my-assistant:v2", null, null]);
});

test("each state of a pull has its words", () => {
  const lines = Object.fromEntries(sample.everyPull.map((pull) => [pull.name, lineOf(pull)]));

  assert.deepEqual(lines, {
    "qwen2.5-coder:14b": "Downloading 57.7% · 5.2 of 9.0 GB · 58 MB/s · 1 min 5 s left",
    "deepseek-r1:8b": "No bytes for 12 s, the server tries again (2 of 6) · 30.7% · 1.6 of 5.2 GB",
    "mistral-small:24b": "Waiting, 1st in line · 14.3 GB",
    "phi4:14b": "Waiting, 2nd in line",
    "all-minilm:22m": "Verifying 100.0% · 46 of 46 MB",
    "smollm2:135m": "Reading the manifest",
    "private.example:5000/team/model:v1": "Downloading · 1.3 GB so far",
    "gemma3:12b": "Done · 8.1 GB · listed with the expected digest",
    "llama3.3:70b": "Stopped at 43.0% · 18.3 of 42.5 GB",
    "qwen3:8b": "Interrupted at 43.2% · 2.3 of 5.2 GB",
    "llama9:latest": "Failed",
    "deepseek-r1:70b": "Failed at 4.9% · 2.1 of 42.5 GB",
  });
});

test("the bar carries the exact bytes, and none while the total is unknown", () => {
  const bar = (name: string) => {
    const pull = sample.everyPull.find((one) => one.name === name) as (typeof sample.everyPull)[number];
    const options = { view: "pulls", only: pull.id } as const;
    return renderToString(<App host={new FakeHost({ ...known, pulls: [pull] }, options)} />);
  };

  assert.match(
    bar("qwen2.5-coder:14b"),
    /role="progressbar"[^>]*aria-valuemax="9000000000" aria-valuenow="5200000000"/,
  );
  assert.doesNotMatch(bar("smollm2:135m"), /aria-valuenow/);
});

test("what can be done about a pull depends on its state", () => {
  const actions = (name: string) => {
    const pull = sample.everyPull.find((one) => one.name === name) as (typeof sample.everyPull)[number];
    const html = renderToString(
      <App host={new FakeHost({ ...known, pulls: [pull] }, { view: "pulls", only: pull.id })} />,
    );
    return [...html.matchAll(/<button[^>]*>([^<]+)/g)].map(([, label]) => label);
  };

  assert.deepEqual(actions("qwen2.5-coder:14b"), [say.stop]);
  assert.deepEqual(actions("phi4:14b"), [say.stop]);
  assert.deepEqual(actions("gemma3:12b"), [say.dismiss]);
  assert.deepEqual(actions("llama3.3:70b"), [say.resume, say.dismiss]);
  assert.deepEqual(actions("qwen3:8b"), [say.resume, say.dismiss]);
  assert.deepEqual(actions("llama9:latest"), [say.retry, say.dismiss]);
  assert.deepEqual(actions("deepseek-r1:70b"), [say.pullAnyway, say.retry, say.dismiss]);
});

test("running pulls come first, then the queue, then the ended ones, latest first", () => {
  const names = inOrder(sample.everyPull.toReversed()).map(({ state }) => state);

  assert.deepEqual(names, [
    ...Array<string>(5).fill("running"),
    ...Array<string>(2).fill("queued"),
    ...["done", "cancelled", "failed", "failed", "interrupted"],
  ]);
});

test("the totals count what is left, and guess no time while a size is unknown", () => {
  assert.equal(totalsOf(sample.pulls), "2 running, 2 waiting · 21.7 GB left");
  assert.equal(
    totalsOf(sample.pulls.slice(0, 3)),
    "2 running, 1 waiting · 21.7 GB left · about 6 min 14 s in all",
  );
  assert.equal(totalsOf(sample.pulls.slice(0, 1)), "");
});

test("a running pull of a name wins over an ended one, else the newest counts", () => {
  const old = sample.pull("llama3", { id: "old", state: "failed", created_at: "2026-11-21T10:00:00Z" });
  const fresh = sample.pull("llama3:latest", {
    id: "new",
    state: "cancelled",
    created_at: "2026-11-21T11:00:00Z",
  });
  const live = sample.pull("LLAMA3", { id: "live", created_at: "2026-11-21T09:00:00Z" });

  assert.equal(pullOf([old, fresh], "llama3")?.id, "new");
  assert.equal(pullOf([old, fresh, live], "llama3")?.id, "live");
  assert.equal(pullOf([old], "llama3:8b"), undefined);
});

test("deleting says what is freed, what stays and why", () => {
  const plan = sample.deletePlan("llama3.2:3b", {
    kept_bytes: 0.3e9,
    shared_with: ["a:1", "b:1"],
    running: true,
  });

  assert.equal(
    wordsOf(plan),
    "Deleting llama3.2:3b frees 2.0 GB. 300 MB stays because a:1 and b:1 use it. It is in memory now and is unloaded first.",
  );
  assert.equal(
    wordsOf({ ...plan, exact: false, running: false }),
    "Deleting llama3.2:3b frees at most 2.0 GB; layers that other models use stay.",
  );
});

test("a plan tells the numbers that matter", () => {
  assert.equal(
    planWords(sample.plan),
    "42.5 GB in all · 2.1 GB already here · 40.4 GB to fetch · 31.0 GB free on disk",
  );
  assert.equal(
    planWords({
      ...sample.plan,
      total_bytes: null,
      present_bytes: 0,
      to_fetch_bytes: null,
      free_bytes: null,
    }),
    say.planUnknown,
  );
});

test("screen readers hear of notices and milestones once", () => {
  const before = {
    notices: sample.notices.slice(1, 2),
    pulls: [sample.pull("a", { completed_bytes: 2e9 }), sample.pull("b")],
  };
  const after = {
    notices: sample.notices.slice(0, 2),
    pulls: [
      sample.pull("a", { completed_bytes: 2.1e9 }),
      sample.pull("b", { phase: "verifying", completed_bytes: 8.1e9 }),
    ],
  };

  assert.deepEqual(newsOf(before, after), [
    "gemma3:12b is installed (8.1 GB).",
    "a: Downloading 25.9%",
    "b: Verifying 100.0%",
  ]);
  assert.deepEqual(newsOf(after, after), []);
});

test("hostile texts stay text", () => {
  const notices = [
    { ...(sample.notices[0] as (typeof sample.notices)[number]), text: "<script>alert(1)</script>" },
  ];
  const html = renderToString(
    <App
      host={new FakeHost({ ...known, notices, installed: { ...sample.installed, models: sample.hostile } })}
    />,
  );

  assert.doesNotMatch(html, /<script|<img|<b>Q4|<i>tools/);
  assert.match(html, /&lt;script>alert\(1\)&lt;\/script>/);
});

test("no name reorders or hides the words around it, in labels neither", () => {
  const names = sample.hostile.map(({ name }) => name);
  const pulls = names.flatMap((name, id) => [
    sample.pull(name, { id: `${id}` }),
    sample.pull(name, { id: `${id} failed`, state: "failed" }),
  ]);
  const installed = { ...sample.installed, models: sample.hostile };
  const views = [{ view: "installed" }, { view: "pulls" }, { view: "catalog" }] as const;
  const html = views
    .map((options) => renderToString(<App host={new FakeHost({ ...known, installed, pulls }, options)} />))
    .join("");

  assert.deepEqual(html.match(/.{0,60}[\u202a-\u202e\u001b].{0,20}/gu), null);
  assert.match(html, /aria-label="Delete: \u2068نموذج-عربي:latest\u2069"/);
  assert.match(html, /aria-label="Stop: \ufffdgpj\.exe\ufffd:latest"/);
});

test("a lost kernel leaves the rows and says what to do", () => {
  const html = renderToString(<App host={new FakeHost(known, {}, {}, "lost")} />);

  assert.match(words(html), /The kernel was restarted or stopped: run the cell again\./);
  assert.match(words(html), /as of \d/);
  assert.equal(html.match(/>not live</g)?.length, sample.models.length);
});

test("one pull stands alone, without header and tabs", () => {
  const text = shown({ pulls: sample.pulls }, { view: "pulls", only: "pull-qwen2.5-coder:14b" });

  assert.equal(
    text.trim(),
    "qwen2.5-coder:14b Stop Downloading 57.7% · 5.2 of 9.0 GB · 58 MB/s · 1 min 5 s left",
  );
});

test("small helpers read names as people write them", () => {
  assert.deepEqual(
    ["NVIDIA GeForce RTX 4090", "NVIDIA A100-SXM4-80GB", "AMD Radeon RX 7900 XTX", "Apple M3"].map(shortGpu),
    ["RTX 4090", "A100-SXM4-80GB", "RX 7900 XTX", "Apple M3"],
  );
  assert.equal(hostOf("http://localhost:11434/"), "localhost:11434");
  assert.deepEqual(
    [
      "application/vnd.ollama.image.model",
      "application/vnd.docker.container.image.v1+json",
      "text/plain",
    ].map(layerKind),
    ["model", "config", "text/plain"],
  );
});
