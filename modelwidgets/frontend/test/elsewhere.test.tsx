import assert from "node:assert/strict";
import { test } from "node:test";

import { renderToString } from "preact-render-to-string";

import { ELSEWHERE_STATES } from "../gallery/elsewhere-states";
import { App } from "../src/app";

test("a pull says which other process runs it, as text, and can be stopped from here", () => {
  const [state] = ELSEWHERE_STATES;
  assert.ok(state);
  const html = renderToString(<App host={state.host()} />);

  assert.match(html, /59 s left · in kernel on ada-laptop \(process 4242\)/);
  assert.match(html, /Stop: gemma3:12b/);
  assert.match(html, /Interrupted at 43\.2%[^]*Resume: mistral:7b/);
  assert.doesNotMatch(html, /<img|\u202e|\u001b/);
});
