/** States of the details of a model, and of models side by side. */
import * as format from "../src/format";
import type { Slices } from "../src/host";
import type { ModelDetails } from "../src/records";
import { FakeHost, refuse } from "./fake";
import type { Hand, State } from "./hand";
import * as sample from "./samples";

const { known } = sample;

const answering =
  (answer: (name: string) => ModelDetails, slices: Partial<Slices> = {}) =>
  () =>
    new FakeHost(
      { ...known, ...slices },
      {},
      { details: ({ name }: { name: string }) => answer(name), select: () => null },
    );

const CLOUD = "gpt-oss:120b-cloud";

/** Opens a row and whatever has to be clicked after that. */
const open =
  (name: string, ...clicks: string[]) =>
  async ({ click }: Hand) => {
    await click(`Details: ${name}`);
    for (const what of clicks) await click(what);
  };

const sideBySide = async ({ click, type }: Hand) => {
  await open("gemma3:12b", "Compare with…")({ click, type });
  for (const name of ["qwen3:32b", "llama3.1:8b"]) {
    await type("Compare with which model?", name);
    await click("Compare");
  }
};

export const DETAILS_STATES: State[] = [
  { id: "details-layers", host: answering(sample.detailsOf), act: open("gemma3:12b", "Layers", "Files") },
  { id: "details-licence", host: answering(sample.detailsOf), act: open("gemma3:12b", "Licence") },
  { id: "details-code", host: answering(sample.detailsOf), act: open("gemma3:12b", "Use it in code") },
  {
    id: "details-code-embedded",
    host: answering(
      (name) => ({
        ...sample.detailsOf(name),
        snippets: sample.snippets(
          name,
          "The embedded store keeps models but runs none: start Ollama on its folder, and use the address of that.",
        ),
      }),
      { service: { ...sample.service, kind: "embedded" } },
    ),
    act: open("gemma3:12b", "Use it in code", "curl"),
  },
  { id: "details-alike", host: answering(sample.detailsOf), act: open("gemma3:12b", "What else is like this") },
  { id: "details-compare", host: answering(sample.detailsOf), act: sideBySide },
  {
    id: "details-compare-differing",
    host: answering(sample.detailsOf),
    act: async (hand) => {
      await sideBySide(hand);
      await hand.click("Only what differs");
    },
  },
  {
    id: "details-compare-unknown",
    host: answering(sample.detailsOf),
    act: async ({ click, type }) => {
      await open("gemma3:12b", "Compare with…")({ click, type });
      await type("Compare with which model?", "llama9");
      await click("Compare");
    },
  },
  {
    id: "details-damaged",
    host: answering((name) => ({ ...sample.damaged, name })),
    act: open("qwen3:32b", "Layers"),
  },
  { id: "details-cloud", host: answering(() => sample.cloudDetails), act: open(CLOUD) },
  { id: "details-null", host: answering(() => sample.emptyDetails), act: open("my-assistant:v2") },
  {
    id: "details-gone",
    host: answering((name) => ({ ...sample.emptyDetails, name, installed: null, info: null })),
    act: open("my-assistant:v2"),
  },
  {
    id: "details-unanswered",
    host: () =>
      new FakeHost(known, {}, { details: refuse("ConnectionLost", "The kernel was restarted or stopped: run the cell again.") }, "lost"),
    act: open("gemma3:12b"),
  },
  { id: "details-loading", host: () => new FakeHost(known), act: open("gemma3:12b") },
  {
    id: "details-hostile",
    host: answering(() => sample.hostileDetails, {
      installed: { ...sample.installed, models: sample.hostile },
    }),
    act: open(format.name("نموذج-عربي:latest"), "Layers", "Licence", "Use it in code"),
  },
  {
    id: "family-code",
    host: () => new FakeHost(known, { tab: "catalog" }, { details: ({ name }: { name: string }) => sample.detailsOf(name) }),
    act: open("llama3.1", "Use it in code"),
  },
  {
    id: "family-alike",
    host: () => new FakeHost(known, { tab: "catalog" }),
    act: open("llama3.1", "What else is like this", "Compare with qwen3:8b"),
  },
];
