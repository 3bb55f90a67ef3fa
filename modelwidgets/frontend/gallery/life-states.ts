/** States of the way to the kernel, and of what it was to start. */
import { CallError, type Options } from "../src/host";
import { FakeHost, refuse } from "./fake";
import type { State } from "./hand";
import * as sample from "./samples";

const { known } = sample;

const FULL_DISK = new CallError(
  "StoreError",
  "The embedded store cannot start: /home/ada/.local/share/modelwidgets cannot be written (No space left on device). Free some space, then try again.",
);

function failed(options: Partial<Options> = {}): FakeHost {
  const host = new FakeHost({}, options);
  host.version = null;
  host.failure = FULL_DISK;
  return host;
}

function ofVersion(version: string): FakeHost {
  const host = new FakeHost(known);
  host.version = version;
  return host;
}

const OFFLINE =
  "The registry registry.ollama.ai cannot be reached (no route to host). Check the network or the proxy settings, then try again.";

export const LIFE_STATES: State[] = [
  {
    id: "damaged",
    host: () =>
      new FakeHost({
        ...known,
        disk: {
          ...sample.disk,
          damaged: [
            "/home/ada/.ollama/models/manifests/registry.ollama.ai/library/mistral/7b",
            "/home/ada/.ollama/models/manifests/registry.ollama.ai/library/phi4/14b",
          ],
        },
      }),
  },
  {
    id: "offline-look-up",
    host: () =>
      new FakeHost(
        known,
        { tab: "catalog" },
        { plan_pull: refuse("RegistryUnreachableError", OFFLINE) },
      ),
    act: async ({ click, type }) => {
      await type("Search the catalog, or type a model name", "deepseek-r1:70b");
      await click("Look up deepseek-r1:70b");
    },
  },
  {
    id: "offline-pull",
    host: () =>
      new FakeHost(
        {
          ...known,
          pulls: [
            sample.pull("deepseek-r1:70b", {
              state: "failed",
              phase: "manifest",
              total_bytes: null,
              completed_bytes: 0,
              bytes_per_second: null,
              eta_seconds: null,
              error: `pull model manifest: dial tcp: lookup registry.ollama.ai: no such host\n${OFFLINE}`,
              error_kind: "PullFailedError",
              ended_at: sample.ago(60_000),
            }),
          ],
        },
        { tab: "pulls" },
      ),
  },
  { id: "start-failed", host: () => failed() },
  { id: "start-failed-one-pull", host: () => failed({ view: "pulls", only: "pull-a" }) },
  { id: "page-is-old", host: () => ofVersion("99.1.0") },
  { id: "kernel-is-old", host: () => ofVersion("0.0.9") },
  {
    id: "installed-delete-pulling",
    host: () =>
      new FakeHost(
        { ...known, pulls: [sample.pull("llama3.2:3b", { total_bytes: 2.02e9, completed_bytes: 1e9 })] },
        {},
        { plan_delete: ({ name }) => sample.deletePlan(name), select: () => null },
      ),
    act: async ({ click }) => {
      await click("Details: llama3.2:3b");
      await click("Delete: llama3.2:3b");
    },
  },
];
