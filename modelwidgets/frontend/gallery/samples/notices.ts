/** What the user should know. */
import type { Notice } from "../../src/records";
import { HOUR, MINUTE, ago } from "./units";

export const notices: Notice[] = [
  { id: "n1", kind: "success", text: "gemma3:12b is installed (8.1 GB).", actions: [], at: ago(1 * MINUTE) },
  { id: "n2", kind: "info", text: "qwen2.5-coder:14b is downloading.", actions: [], at: ago(5 * MINUTE) },
  {
    id: "n3",
    kind: "error",
    text: "Pulling llama9:latest failed: the registry does not know this name. Check its spelling and its tag.",
    actions: [{ label: "Retry", method: "retry", params: { id: "pull-llama9:latest" } }],
    at: ago(20 * MINUTE),
  },
  {
    id: "n4",
    kind: "warning",
    text: "The catalog entry “broken” was left out: its tags are no list (line 812).",
    actions: [],
    at: ago(1 * HOUR),
  },
  {
    id: "n5",
    kind: "success",
    text: "mistral:7b was deleted; that frees 4.1 GB.",
    actions: [],
    at: ago(2 * HOUR),
  },
];
