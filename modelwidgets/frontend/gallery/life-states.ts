/** States of the way to the kernel, and of what it was to start. */
import { CallError, type Options, type Slices } from "../src/host";
import { FakeHost } from "./fake";
import * as sample from "./samples";
import type { State } from "./states";

const known: Partial<Slices> = {
  service: sample.service,
  devices: sample.devices,
  installed: sample.installed,
  running: sample.running,
  catalog: sample.catalog,
  disk: sample.disk,
};

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

export const LIFE_STATES: State[] = [
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
