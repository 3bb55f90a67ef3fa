/** States of the small pictures. */
import type { Options, Slices } from "../src/host";
import type { Point } from "../src/spark";
import { FakeHost } from "./fake";
import type { State } from "./hand";
import * as sample from "./samples";

const known: Partial<Slices> = { ...sample.known, gpu_memory: sample.gpuMemory(1) };

const manager =
  (slices: Partial<Slices> = {}, options: Partial<Options> = {}) =>
  () =>
    new FakeHost({ ...known, ...slices }, options, {
      details: ({ name }) => ({ ...sample.details, name }),
      select: () => null,
    });

/** A minute of speeds, with a stall, and a hole where nobody looked. */
function speeds(): Map<string, Point[]> {
  const now = Date.now();
  const points = Array.from({ length: 60 }, (_, at) => ({
    at: now - (60 - at) * 1000,
    value: at > 44 && at < 50 ? 0 : 40e6 + 18e6 * Math.sin(at / 3),
  })).filter((_, at) => at < 20 || at > 27);
  return new Map(sample.pulls.map(({ id, phase }) => [id, phase === "downloading" ? points : points.slice(0, 30)]));
}

function pulling(): FakeHost {
  const host = manager({ pulls: sample.pulls }, { tab: "pulls" })();
  host.memory.set("speeds", speeds());
  return host;
}

const card = (index: number) => ({ ...sample.gpu, index });

export const PICTURE_STATES: State[] = [
  { id: "pictures", host: manager() },
  {
    id: "pictures-table",
    host: manager(),
    act: async ({ click }) => click("What lies on the disk, as a table"),
  },
  {
    id: "pictures-disk-to-model",
    host: manager({}, { tab: "catalog" }),
    act: async ({ click }) => click("Show gemma3:12b, 300 MB"),
  },
  {
    id: "pictures-many-gpus",
    host: manager({
      devices: { ...sample.devices, gpus: [0, 1, 2, 3].map(card) },
      gpu_memory: sample.gpuMemory(4),
    }),
  },
  {
    id: "pictures-full-disk",
    host: manager({
      disk: { ...sample.disk, free_bytes: 0.9e9, partial_bytes: 18.3e9 },
    }),
  },
  {
    id: "pictures-hostile",
    host: manager({
      disk: {
        ...sample.disk,
        models: sample.hostile.map(({ name }, at) => ({ name, own_bytes: (9 - at) * 1e9 })),
      },
    }),
  },
  {
    id: "pictures-one-model",
    host: manager({
      installed: { ...sample.installed, models: sample.models.slice(1, 2) },
      disk: sample.diskOf(sample.models.slice(1, 2)),
    }),
  },
  { id: "pictures-speed", host: pulling },
];
