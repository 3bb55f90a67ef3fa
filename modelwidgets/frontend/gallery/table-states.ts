/** Tables with marked rows, other columns, other density. */
import type { Slices } from "../src/host";
import type { BulkDeletePlan, BulkDeletion } from "../src/records";
import { type Answers, FakeHost, refuse } from "./fake";
import type { Hand, State } from "./hand";
import * as sample from "./samples";

const { known } = sample;
const MARKED = ["gemma3:12b", "llama3.2:3b", "qwen3:32b"];

const plan = (fields: Partial<BulkDeletePlan> = {}): BulkDeletePlan => ({
  names: MARKED,
  frees_bytes: 22.5e9,
  exact: true,
  kept_bytes: 7.85e9,
  shared_with: ["my-assistant:v2"],
  running: ["llama3.2:3b"],
  missing: [],
  ...fields,
});
const outcome: BulkDeletion = {
  deleted: ["gemma3:12b"],
  failed: [
    {
      name: "llama3.2:3b",
      error: "llama3.2:3b is in use (it is being pulled). Stop the pull first, or delete it with force=True.",
      error_kind: "InUseError",
    },
    {
      name: "qwen3:32b",
      error: "unlinkat /usr/share/ollama/models/blobs: permission denied. Run the server as the owner of that folder.",
      error_kind: "OllamaResponseError",
    },
  ],
};
const host =
  (answers: Answers = {}, slices: Partial<Slices> = {}, tab: "installed" | "catalog" = "installed") =>
  () =>
    new FakeHost({ ...known, ...slices }, { tab }, { plan_delete_many: () => plan(), ...answers });
const mark =
  (...names: string[]) =>
  async ({ click }: Hand) => {
    for (const name of names) await click(`Select ${name}`);
  };

export const TABLE_STATES: State[] = [
  { id: "table-marked", host: host(), act: mark(...MARKED) },
  {
    id: "table-marked-hidden",
    host: host(),
    act: async (hand) => {
      await mark(...MARKED)(hand);
      await hand.type("Search installed models", "llama");
    },
  },
  {
    id: "table-delete",
    host: host(),
    act: async (hand) => {
      await mark(...MARKED)(hand);
      await hand.click("Delete…");
    },
  },
  {
    id: "table-delete-failed",
    host: host({ delete_many: () => outcome }),
    act: async (hand) => {
      await mark(...MARKED)(hand);
      await hand.click("Delete…");
      await hand.click("Delete 3 models");
    },
  },
  {
    id: "table-compare",
    host: host(),
    act: async (hand) => {
      await mark("gemma3:12b", "llama3.2:3b")(hand);
      await hand.click("Compare");
    },
  },
  {
    id: "table-columns",
    host: host(),
    act: async ({ click }) => {
      await click("Columns and rows: Installed");
      for (const column of ["Context", "Licence", "Digest"]) await click(column);
      await click("Compact");
    },
  },
  {
    id: "table-catalog-marked",
    host: host({ pull: refuse("OllamaUnreachableError", sample.noServer) }, {}, "catalog"),
    act: async (hand) => {
      await mark("gemma3", "qwen3", "hf.co/ada/notes-GGUF")(hand);
      await hand.click("Pull");
    },
  },
  {
    id: "table-hostile",
    host: host(
      { plan_delete_many: () => plan({ names: sample.hostile.map(({ name }) => name), shared_with: [sample.hostile[0]!.name] }) },
      { installed: { ...sample.installed, models: sample.hostile } },
    ),
    act: async ({ click }) => {
      await click("Select all shown");
      await click("Columns and rows: Installed");
      for (const column of ["Capabilities", "Family", "Format", "Publisher"]) await click(column);
      await click("Delete…");
    },
  },
];
