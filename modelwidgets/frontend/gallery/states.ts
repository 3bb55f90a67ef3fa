/** Every state of the views that is worth looking at. */
import type { Slices } from "../src/host";
import { DETAILS_STATES } from "./details-states";
import { ELSEWHERE_STATES } from "./elsewhere-states";
import { FakeHost, refuse } from "./fake";
import { FIT_STATES } from "./fit-states";
import { LIFE_STATES } from "./life-states";
import type { State } from "./hand";
import { MESSAGE_STATES } from "./message-states";
import { OWN_STATES } from "./own-states";
import { PICTURE_STATES } from "./picture-states";
import * as sample from "./samples";
import { SEARCH_STATES } from "./search-states";
import { TABLE_STATES } from "./table-states";

const { known } = sample;
const trouble =
  (fields: Partial<NonNullable<Slices["service"]>>, rest: Partial<Slices> = {}) =>
  () =>
    new FakeHost(
      { ...known, service: { ...sample.service, ...fields }, ...rest },
      {},
      { connect: noServerThere },
    );
const noServerThere = refuse(
  "OllamaUnreachableError",
  "No Ollama server answers at http://10.0.0.9:11434 (connection refused). Start it with `ollama serve`, or use the embedded store: `modelwidgets serve`.",
);
const nothing: Slices["installed"] = { models: [], as_of: null, stale: null, deleting: [] };
const down = {
  state: "unreachable",
  version: null,
  kind: "unknown",
  reason: "Connection refused. Start it with `ollama serve`, or use the embedded store.",
} as const;

const details = (name: string) => ({
  ...sample.details,
  name,
  installed: sample.models.find((one) => one.name === name) ?? null,
});
const manager =
  (slices: Partial<Slices> = {}, answers = {}) =>
  () =>
    new FakeHost(
      { ...known, ...slices },
      {},
      { details: ({ name }: { name: string }) => details(name), select: () => null, ...answers },
    );
const catalog =
  (slices: Partial<Slices> = {}, answers = {}) =>
  () =>
    new FakeHost({ ...known, ...slices }, { tab: "catalog" }, answers);
const holding = (models: typeof sample.models) =>
  manager({ installed: { ...sample.installed, models }, disk: sample.diskOf(models) });
const pulls =
  (slices: Partial<Slices> = {}) =>
  () =>
    new FakeHost({ ...known, ...slices }, { tab: "pulls" });

export const STATES: State[] = [
  { id: "opening", host: () => new FakeHost({}, {}, {}, "opening") },
  { id: "looking", host: () => new FakeHost() },

  { id: "installed", host: manager() },
  { id: "installed-with-pulls", host: manager({ pulls: sample.pulls }) },
  {
    id: "installed-details",
    host: manager(),
    act: async ({ click }) => click("Details: gemma3:12b"),
  },
  {
    id: "installed-details-texts",
    host: manager(),
    act: async ({ click }) => {
      await click("Details: gemma3:12b");
      await click("Template");
      await click("Layers");
    },
  },
  {
    id: "installed-details-failed",
    host: manager(
      {},
      {
        details: refuse(
          "ModelNotFoundError",
          "model 'gemma3:12b' not found\nIt was deleted meanwhile: refresh the list.",
        ),
      },
    ),
    act: async ({ click }) => click("Details: gemma3:12b"),
  },
  {
    id: "installed-delete",
    host: manager(
      {},
      {
        plan_delete: ({ name }: { name: string }) =>
          sample.deletePlan(name, { frees_bytes: 0.3e9, kept_bytes: 7.85e9, shared_with: ["my-assistant:v2"] }),
      },
    ),
    act: async ({ click }) => {
      await click("Details: gemma3:12b");
      await click("Delete: gemma3:12b");
    },
  },
  {
    id: "installed-delete-in-use",
    host: manager(
      {},
      {
        plan_delete: ({ name }: { name: string }) => sample.deletePlan(name, { running: true, exact: false }),
        delete: refuse(
          "InUseError",
          "llama3.2:3b is in use (loaded in memory). Unload it first, or delete it with force=True.",
        ),
      },
    ),
    act: async ({ click }) => {
      await click("Details: llama3.2:3b");
      await click("Delete: llama3.2:3b");
      await click("Delete llama3.2:3b");
    },
  },
  {
    id: "installed-deleting",
    host: manager({ installed: { ...sample.installed, deleting: ["qwen3:32b"] } }),
  },
  {
    id: "installed-no-space",
    host: manager(
      { disk: { ...sample.disk, free_bytes: 11e9 } },
      { pull: refuse("NotEnoughSpaceError", sample.noSpace("qwen3:32b", 20.2, 11)) },
    ),
    act: async ({ click }) => {
      await click("Details: qwen3:32b");
      await click("Pull again: qwen3:32b");
    },
  },
  {
    id: "installed-found",
    host: manager(),
    act: async ({ type }) => type("Search installed models", "q4 tools"),
  },
  {
    id: "installed-not-found",
    host: manager(),
    act: async ({ type }) => type("Search installed models", "mixtral"),
  },
  {
    id: "installed-one",
    host: holding(sample.models.slice(0, 1)),
  },
  { id: "installed-none", host: holding([]) },
  {
    id: "installed-many",
    host: holding(
      Array.from({ length: 5000 }, (_, at) =>
        sample.installedModel(`model-${at}:latest`, { size_bytes: (at + 1) * 1e7 }),
      ),
    ),
  },
  { id: "installed-hostile", host: holding(sample.hostile) },

  { id: "service-unreachable", host: trouble(down, { installed: nothing, disk: null }) },
  {
    id: "service-connect-elsewhere",
    host: trouble(down, { installed: nothing, disk: null }),
    act: async ({ click, type }) => {
      await click("Connect elsewhere");
      await type("Address of an Ollama server", "10.0.0.9");
      await click("Connect");
    },
  },
  { id: "service-stopped", host: trouble({ state: "stopped", reason: "It was stopped here." }) },
  { id: "service-starting", host: trouble({ state: "starting", version: null }, { installed: nothing }) },
  {
    id: "service-hung",
    host: trouble(
      {
        state: "hung",
        reason: "No answer within 10 s. It may be starting or hanging: try again, or restart it.",
      },
      {
        installed: {
          ...sample.installed,
          stale: "The server does not answer; this is the list of 9 minutes ago.",
        },
      },
    ),
  },
  {
    id: "service-foreign",
    host: trouble(
      {
        state: "foreign",
        version: null,
        kind: "unknown",
        reason: "It answers with HTML. Check the address, or set OLLAMA_HOST to the right one.",
      },
      { installed: nothing, disk: null },
    ),
  },
  {
    id: "service-remote",
    host: trouble(
      { url: "http://gpu-server.example:11434", local: false },
      { disk: { ...sample.disk, exact: false, free_bytes: null, partial_bytes: null } },
    ),
  },
  {
    id: "service-embedded",
    host: trouble({ kind: "embedded", sample_registry: "127.0.0.1:50123" }, { devices: sample.noGpu }),
  },
  {
    id: "service-old",
    host: trouble(
      {
        version: "0.1.30",
        old: "Ollama 0.1.30 is older than what is tested (0.5.0): capabilities and context lengths may be missing.",
      },
      { devices: { ...sample.devices, gpus: [sample.gpu, { ...sample.gpu, index: 1 }] } },
    ),
  },

  { id: "catalog", host: catalog() },
  { id: "catalog-category", host: catalog(), act: async ({ click }) => click("vision") },
  {
    id: "catalog-family",
    host: catalog({ pulls: [sample.pull("gemma3:27b", { total_bytes: 17.4e9 })] }),
    act: async ({ click }) => click("Details: gemma3"),
  },
  {
    id: "catalog-family-no-space",
    host: catalog(
      { disk: { ...sample.disk, free_bytes: 11e9 } },
      { pull: refuse("NotEnoughSpaceError", sample.noSpace("gemma3:27b", 17.4, 11)) },
    ),
    act: async ({ click }) => {
      await click("Details: gemma3");
      await click("Pull: gemma3:27b");
    },
  },
  {
    id: "catalog-own",
    host: catalog(),
    act: async ({ click }) => click("Details: hf.co/ada/notes-GGUF"),
  },
  {
    id: "catalog-look-up",
    host: catalog({}, { plan_pull: () => ({ ...sample.plan, free_bytes: 312e9 }) }),
    act: async ({ type, click }) => {
      await type("Search the catalog, or type a model name", "deepseek-r1:70b");
      await click("Look up deepseek-r1:70b");
    },
  },
  {
    id: "catalog-look-up-failed",
    host: catalog(
      {},
      {
        plan_pull: refuse(
          "ManifestNotFoundError",
          "registry.ollama.ai has no model llama9:latest. Check the spelling and the tag (the tags of a model stand on its page in the library).",
        ),
      },
    ),
    act: async ({ type, click }) => {
      await type("Search the catalog, or type a model name", "llama9");
      await click("Look up llama9");
    },
  },
  {
    id: "catalog-not-found",
    host: catalog(),
    act: async ({ type }) => type("Search the catalog, or type a model name", "the best model"),
  },
  {
    id: "catalog-add-refused",
    host: catalog(
      {
        catalog: {
          ...sample.catalog,
          problems: [
            "broken: its tags are no list (line 812)",
            "llama3.2: the name is there twice (line 90)",
          ],
        },
      },
      {
        add_entry: refuse(
          "CatalogError",
          "registry.ollama.ai has no model llama9:latest. Check the spelling and the tag.",
        ),
      },
    ),
    act: async ({ click, type }) => {
      await click("2 entries were left out");
      await click("Add to my catalog");
      await type("Model name", "llama9");
      await type("Description", "The one after eight");
      await click("Add");
    },
  },
  { id: "catalog-loading", host: catalog({ catalog: null }) },
  { id: "catalog-empty", host: catalog({ catalog: { ...sample.catalog, models: [] } }) },
  { id: "catalog-many", host: catalog({ catalog: sample.largeCatalog(5000) }) },

  { id: "pulls", host: pulls({ pulls: sample.everyPull }) },
  { id: "pulls-none", host: pulls() },
  { id: "notices", host: manager({ notices: sample.notices }) },

  { id: "kernel-busy", host: () => new FakeHost({ ...known, pulls: sample.pulls }, {}, {}, "waiting") },
  { id: "kernel-gone", host: () => new FakeHost({ ...known, pulls: sample.pulls }, {}, {}, "lost") },

  { id: "part-installed", host: () => new FakeHost(known, { view: "installed", selected: "llama3.2:3b" }) },
  { id: "part-catalog", host: () => new FakeHost(known, { view: "catalog" }) },
  { id: "part-pulls", host: () => new FakeHost({ ...known, pulls: sample.pulls }, { view: "pulls" }) },
  {
    id: "one-pull",
    host: () =>
      new FakeHost({ ...known, pulls: sample.pulls }, { view: "pulls", only: "pull-qwen2.5-coder:14b" }),
  },
  { id: "one-pull-gone", host: () => new FakeHost(known, { view: "pulls", only: "pull-gone" }) },

  ...LIFE_STATES,
  ...ELSEWHERE_STATES,
  ...SEARCH_STATES,
  ...TABLE_STATES,
  ...OWN_STATES,
  ...MESSAGE_STATES,
  ...DETAILS_STATES,
  ...FIT_STATES,
  ...PICTURE_STATES,
];
