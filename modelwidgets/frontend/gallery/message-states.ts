/** States of messages: what failed is told once, where the user looks, and what is code is shown as code. */
import type { Options } from "../src/host";
import type { Notice } from "../src/records";
import { type Answers, FakeHost, refuse } from "./fake";
import type { State } from "./hand";
import * as sample from "./samples";

const NAME = "gemma3:27b";
const REASON =
  "gemma3:27b needs 17.4 GB more on disk, 9.1 GB are free and 2.0 GB of these are kept in reserve: 10.3 GB too little. " +
  "Delete a model you do not need, or pull with force=True (`--force` in a terminal).";

const failed = sample.pull(NAME, {
  state: "failed",
  phase: "checking",
  total_bytes: null,
  completed_bytes: 0,
  error: REASON,
  error_kind: "NotEnoughSpaceError",
  ended_at: sample.ago(60_000),
});
const notice: Notice = {
  id: `${failed.id}/3`,
  kind: "error",
  text: `The pull of ${NAME} failed: ${REASON}`,
  actions: [{ label: "Retry", method: "retry", params: { id: failed.id } }],
  at: sample.ago(60_000),
};
const pulled =
  (options: Partial<Options>, notices: Notice[] = [notice]) =>
  () =>
    new FakeHost({ ...sample.known, pulls: [failed], notices }, options);
const catalog =
  (answers: Answers = {}) =>
  () =>
    new FakeHost(sample.known, { tab: "catalog" }, answers);
const openFamily: State["act"] = ({ click }) => click("Details: gemma3");

export const MESSAGE_STATES: State[] = [
  { id: "pull-failed-installed", host: pulled({ tab: "installed" }) },
  { id: "pull-failed-catalog", host: pulled({ tab: "catalog" }), act: openFamily },
  { id: "pull-failed-catalog-dismissed", host: pulled({ tab: "catalog" }, []), act: openFamily },
  { id: "pull-failed-part-catalog", host: pulled({ view: "catalog" }), act: openFamily },
  { id: "pull-failed-pulls", host: pulled({ tab: "pulls" }) },
  {
    id: "own-no-name",
    host: catalog({
      add_entry: refuse(
        "InvalidNameError",
        "'my model' is not a model name: a space has no place in it. Write it as `model:tag`, `namespace/model:tag` or `host/namespace/model:tag`, for example `llama3.2:3b`.",
      ),
    }),
    act: async ({ click, type }) => {
      await click("Add to my catalog");
      await type("Model name", "my model");
      await click("Add");
    },
  },
];
