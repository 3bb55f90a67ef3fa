import assert from "node:assert/strict";
import { test } from "node:test";

import { renderToString } from "preact-render-to-string";

import { LIFE_STATES } from "../gallery/life-states";
import { deletePlan } from "../gallery/samples";
import { App } from "../src/app";
import { wordsOf } from "../src/later/deletion";
import { skew } from "../src/version";

/** The words of a state of the gallery, without its markup. */
function shown(id: string): string {
  const state = LIFE_STATES.find((one) => one.id === id) as (typeof LIFE_STATES)[number];
  return renderToString(<App host={state.host()} />)
    .replace(/<[^>]*>/g, " ")
    .replace(/\s+/g, " ");
}

test("what could not start says why, and can be tried again", () => {
  for (const id of ["start-failed", "start-failed-one-pull"]) {
    const text = shown(id);

    assert.match(text, /It could not start\. The embedded store cannot start: .* Try again/);
    assert.doesNotMatch(text, /Asking the kernel/);
  }
});

test("a page and a kernel of two versions say which of them to renew", () => {
  assert.match(shown("page-is-old"), /the kernel runs 99\.1\.0: reload the page\./);
  assert.match(shown("kernel-is-old"), /The kernel runs modelwidgets 0\.0\.9, .* restart the kernel/);
});

test("versions are compared by their numbers", () => {
  assert.equal(skew("0.10.0", "0.9.9"), "newer");
  assert.equal(skew("0.9.9", "0.10.0"), "older");
  assert.equal(skew("1.0.0", "1.0.0"), null);
  assert.equal(skew("1.0.0rc1", "1.0.0"), "newer");
  assert.equal(skew("1.0", "1.0.1"), "older");
});

test("deleting what is being pulled says that the pull is stopped", () => {
  assert.match(wordsOf(deletePlan("a"), true), /It is being pulled now; that pull is stopped first\.$/);
  assert.match(wordsOf(deletePlan("a", { running: true }), true), /unloaded first\. .* stopped first\./);
});
