/** States of the user's own part of the catalog. */
import { type Answers, FakeHost, refuse } from "./fake";
import type { State } from "./hand";
import * as sample from "./samples";

const OWN = "hf.co/ada/notes-GGUF";

const catalog =
  (answers: Answers = {}) =>
  () =>
    new FakeHost(sample.known, { tab: "catalog" }, answers);

export const OWN_STATES: State[] = [
  {
    id: "own-form",
    host: catalog(),
    act: async ({ click }) => {
      await click("vision");
      await click("Add to my catalog");
    },
  },
  {
    id: "own-sending",
    host: catalog(),
    act: async ({ click, type }) => {
      await click("Add to my catalog");
      await type("Model name", "user/helper");
      await type("Description", "Helps");
      await click("Add");
    },
  },
  {
    id: "own-known",
    host: catalog({
      add_entry: refuse(
        "KnownEntryError",
        "llama3.1:8b was not added: the catalog already has it, as llama3.1. Search for llama3.1 to see it.",
      ),
    }),
    act: async ({ click, type }) => {
      await click("Add to my catalog");
      await type("Model name", "llama3.1:8b");
      await click("Add");
    },
  },
  {
    id: "own-added-offline",
    host: catalog({ add_entry: ({ name }) => sample.family(name, { custom: true, unchecked: true }) }),
    act: async ({ click, type }) => {
      await click("Add to my catalog");
      await type("Model name", "user/helper:latest");
      await click("Add");
    },
  },
  {
    id: "own-check-refused",
    host: catalog({
      edit_entry: refuse(
        "ManifestNotFoundError",
        "hf.co has no model hf.co/ada/notes-GGUF:latest. Check the spelling and the tag (the tags of a model stand on its page in the library).",
      ),
    }),
    act: async ({ click }) => {
      await click(`Details: ${OWN}`);
      await click(`Check again: ${OWN}`);
    },
  },
  {
    id: "own-edit",
    host: catalog(),
    act: async ({ click }) => {
      await click(`Details: ${OWN}`);
      await click(`Edit: ${OWN}`);
    },
  },
  {
    id: "own-remove",
    host: catalog(),
    act: async ({ click }) => {
      await click(`Details: ${OWN}`);
      await click(`Remove from my catalog: ${OWN}`);
    },
  },
];
