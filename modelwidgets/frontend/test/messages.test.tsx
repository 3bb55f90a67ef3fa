import assert from "node:assert/strict";
import { test } from "node:test";

import { renderToString } from "preact-render-to-string";

import { FakeHost } from "../gallery/fake";
import { MESSAGE_STATES } from "../gallery/message-states";
import * as sample from "../gallery/samples";
import { App } from "../src/app";
import { Chips } from "../src/chips";
import { Empty, Sentence } from "../src/parts";
import type { Notice } from "../src/records";
import * as say from "../src/strings";
import { Tags } from "../src/later/tags";

const host = (id: string) => (MESSAGE_STATES.find((one) => one.id === id) as (typeof MESSAGE_STATES)[number]).host();
const tags = [sample.tag("gemma3:27b")];

/** How often the reason of the failed pull is told. */
const told = (html: string) => html.replace(/<[^>]*>/g, "").split("10.3 GB too little").length - 1;

test("why a pull failed is told once, whatever part is shown", () => {
  for (const id of ["pull-failed-installed", "pull-failed-catalog", "pull-failed-pulls"]) {
    const html = renderToString(<App host={host(id)} />);

    assert.equal(told(html), 1, id);
    assert.match(html, />Retry</, id);
  }
});

test("the row of a tag tells why its pull failed where no notice does", () => {
  const noticed = renderToString(<Tags tags={tags} host={host("pull-failed-catalog")} />);

  assert.equal(told(noticed), 0);
  assert.match(noticed, />Failed</);
  for (const id of ["pull-failed-catalog-dismissed", "pull-failed-part-catalog"]) {
    assert.equal(told(renderToString(<Tags tags={tags} host={host(id)} />)), 1, id);
  }
});

test("what stands between backticks is code, and nothing else of a message is markup", () => {
  const html = renderToString(<Sentence text={"Write `a<b>`, not <i>x</i>\u202e \u001b[31m or `."} />);

  assert.equal(
    html,
    '<span class="mw-text">Write <code>a&lt;b></code>, not &lt;i>x&lt;/i>\u{fffd} \u{fffd}[31m or `.</span>',
  );
});

test("messages of every kind show code as code", () => {
  const message = "Start it with `ollama serve`.";
  const service = { ...sample.service, state: "unreachable", reason: message } as const;
  const notice: Notice = { id: "1", kind: "error", text: message, actions: [], at: sample.ago(0) };
  const shown = { service, notices: [notice], installed: { ...sample.installed, stale: message } };
  for (const slices of [shown, { ...shown, service: sample.service }]) {
    const html = renderToString(<App host={new FakeHost({ ...sample.known, ...slices })} />);

    assert.equal(html.match(/<code>ollama serve<\/code>/g)?.length, 2);
    assert.doesNotMatch(html.replace(/title="[^"]*"/g, ""), /`/);
  }
});

test("where nothing is found, the language of searches is shown by example", () => {
  const html = renderToString(<Empty text="Nothing." hint={say.searchHint} />);

  assert.match(html, /<code>size&lt;8GB<\/code>.*<code>-cloud<\/code>/);
});

test("a choice of chips is one stop of the Tab key: the one that is pressed", () => {
  const choices = [["All", null], ["chat", "chat"], ["code", "code"]] as const;
  const html = renderToString(<Chips label="Categories" choices={choices} chosen="chat" onChoose={() => {}} />);

  assert.deepEqual(
    [...html.matchAll(/aria-pressed="(\w+)" tabindex="(-?\d)">(\w+)/g)].map(([, ...told]) => told),
    [
      ["false", "-1", "All"],
      ["true", "0", "chat"],
      ["false", "-1", "code"],
    ],
  );
});
