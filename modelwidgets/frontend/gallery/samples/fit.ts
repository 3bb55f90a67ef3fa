/** Marks and cards as a kernel would tell them: sizes after a simple rule, where layers go by what is free. */
import type {
  Devices,
  FitCard,
  FitMark,
  FitMarks,
  FitReport,
  FitStop,
  FitSuggestion,
  FitVerdict,
  Gpu,
  MemoryPart,
  StopTerm,
} from "../../src/records";
import { catalog } from "./catalog";
import { models } from "./installed";
import { devices, gpu, noGpu } from "./machine";
import { GIB } from "./units";

interface Kind {
  name: string;
  weights: number;
  layers: number;
  kvPerToken: number;
  experts?: boolean;
  most?: number;
}

const CACHES = { f16: 1, q8_0: 0.53, q4_0: 0.28 };
const MOST = 131_072;

export function markOf(verdict: FitVerdict | null, fields: Partial<FitMark> = {}): FitMark {
  const fits = verdict === null ? null : verdict === "full";
  return { verdict, fits, needed_bytes: 5.2 * GIB, gpu_layers: null, layer_count: null, basis: "header", ...fields };
}

const KINDS: FitMark[] = [
  markOf("full"),
  markOf("partial", { gpu_layers: 41, layer_count: 65, needed_bytes: 22.4 * GIB }),
  markOf("full", { needed_bytes: 2.9 * GIB }),
  markOf("moe-partial", { needed_bytes: 18.1 * GIB }),
  markOf("cpu", { needed_bytes: 0.4 * GIB, fits: false }),
  markOf("no", { needed_bytes: 141 * GIB, basis: "catalog" }),
  markOf("full", { needed_bytes: 9.8 * GIB, basis: "catalog" }),
];

const all = [...models, ...catalog.models.flatMap(({ tags }) => tags)];

/** Every kind of mark in turn, for all that is installed and all tags of the catalog. */
export const fitKinds: FitMarks = {
  context_length: 32_768,
  judged: true,
  marks: Object.fromEntries(all.map(({ name }, at) => [name, KINDS[at % KINDS.length] as FitMark])),
};

/** What this machine would say of them. */
/** The same on a machine too small for one of them. */
export const fitsNot = (name: string): FitMarks => ({
  ...fits,
  marks: { ...fits.marks, [name]: markOf("no", { needed_bytes: 61 * GIB, fits: false }) },
});

export const fits: FitMarks = {
  ...fitKinds,
  marks: {
    ...Object.fromEntries(
      all.filter(({ size_bytes }) => size_bytes).map(({ name, size_bytes }) => [name, bySize(size_bytes as number)]),
    ),
    "qwen3:32b": markOf("partial", { needed_bytes: 27.6 * GIB, layer_count: 65, gpu_layers: 36 }), // as its card says
  },
};

function bySize(bytes: number): FitMark {
  const needed_bytes = bytes * 1.12 + 0.9 * GIB;
  const layer_count = 65;
  if (needed_bytes < 15.8 * GIB) return markOf("full", { needed_bytes });
  if (needed_bytes > 56 * GIB) return markOf("no", { needed_bytes, basis: "catalog" });
  return markOf("partial", { needed_bytes, layer_count, gpu_layers: Math.floor((layer_count * 15.8 * GIB) / needed_bytes) });
}

export const notJudged: FitMarks = {
  ...fits,
  judged: false,
  marks: Object.fromEntries(Object.keys(fits.marks).map((name) => [name, markOf(null)])),
};

const llama: Kind = { name: "llama3.2:3b", weights: 1.88 * GIB, layers: 29, kvPerToken: 114_688 };
const qwen: Kind = { name: "qwen3:32b", weights: 18.5 * GIB, layers: 65, kvPerToken: 262_144, most: 40_960 };
const experts: Kind = { name: "qwen3:30b-a3b", weights: 17.3 * GIB, layers: 49, kvPerToken: 98_304, experts: true };
const huge: Kind = { name: "deepseek-r1:671b", weights: 377 * GIB, layers: 62, kvPerToken: 70_000 };

/** The card of one kind of model on such a machine. */
function cardOf(kind: Kind, on: Devices | null, fields: Partial<FitReport> = {}): FitCard {
  const contexts = [2048, 4096, 8192, 16_384, 32_768, 40_960, 65_536, MOST].filter((length) => length <= (kind.most ?? MOST));
  const stops = {
    context_lengths: contexts,
    kv_cache_types: Object.keys(CACHES),
    num_parallels: [1, 2, 4],
    results: Object.values(CACHES).flatMap((cache) =>
      [1, 2, 4].flatMap((parallel) => contexts.map((context) => placed(kind, on, context * parallel, cache))),
    ),
  };
  const context_length = fields.context_length ?? 32_768;
  const stop = placed(kind, on, context_length, 1);
  return {
    report: {
      name: kind.name,
      ...stop,
      context_length,
      kv_cache_type: "f16",
      num_parallel: 1,
      num_batch: 512,
      terms: stop.terms.map(([part, on, size_bytes]) => ({ part, gpu: on, size_bytes, basis: "header" as const })),
      least_bytes: stop.total_bytes,
      most_bytes: stop.total_bytes,
      basis: "header",
      known_architecture: true,
      layer_count: kind.layers,
      devices: on,
      users: [],
      suggestions: [],
      recommended_gpu: { memory_bytes: 24 * GIB, count: 1, needed_bytes: 22 * GIB, cards: ["RTX 4090", "RTX 3090"] },
      download_bytes: kind.weights,
      installed: true,
      notes: [],
      ...fields,
    },
    stops,
    check: null,
  };
}

function placed(kind: Kind, on: Devices | null, tokens: number, cache: number): FitStop {
  const kv = kind.kvPerToken * tokens * cache;
  const compute = 0.3 * GIB + tokens * 4096;
  const overhead = 0.45 * GIB;
  const gpus = on?.gpus ?? [];
  const total = kind.weights + kv + compute + overhead;
  if (!on) {
    return { verdict: null, gpu_layers: 0, experts_in_ram: 0, ...made([["weights", 0, kind.weights], ["kv_cache", 0, kv], ["compute", 0, compute], ["overhead", 0, overhead]]) };
  }
  const ramFree = on.ram_available_bytes;
  if (gpus.length === 0) {
    const verdict = total < ramFree ? "cpu" : "no";
    return { verdict, gpu_layers: 0, experts_in_ram: 0, ...made([["weights", null, kind.weights], ["kv_cache", null, kv], ["compute", null, compute], ["overhead", null, overhead]]) };
  }
  const room = gpus.reduce((sum, { free_bytes }) => sum + (free_bytes ?? 0) - compute - overhead, 0) - GIB;
  const share = Math.min(Math.max(room / (kind.weights + kv), 0), 1);
  const layers = Math.floor(kind.layers * share);
  const part = layers / kind.layers;
  const rest = (1 - part) * (kind.weights + kv);
  const verdict = rest > ramFree ? "no" : part === 1 ? "full" : kind.experts ? "moe-partial" : "partial";
  const free = gpus.reduce((sum, { free_bytes }) => sum + (free_bytes ?? 0), 0);
  const terms = gpus.flatMap(({ index, free_bytes }): StopTerm[] => [
    ["weights", index, (kind.weights * part * (free_bytes ?? 0)) / free],
    ["kv_cache", index, (kv * part * (free_bytes ?? 0)) / free],
    ["compute", index, compute],
    ["overhead", index, overhead],
  ]);
  const ram: StopTerm[] = [
    ["weights", null, kind.weights * (1 - part) + 0.2 * GIB],
    ["kv_cache", null, kv * (1 - part)],
  ];
  return {
    verdict,
    gpu_layers: kind.experts ? kind.layers : layers,
    experts_in_ram: verdict === "moe-partial" ? kind.layers - layers : 0,
    ...made([...terms, ...ram]),
  };
}

function made(terms: [MemoryPart, number | null, number][]): Pick<FitStop, "terms" | "total_bytes" | "ram_bytes"> {
  const there = terms.filter(([, , bytes]) => bytes > 0);
  const inAll = (some: StopTerm[]) => some.reduce((sum, [, , bytes]) => sum + bytes, 0);
  return { terms: there, total_bytes: inAll(there), ram_bytes: inAll(there.filter(([, on]) => on === null)) };
}

const suggestions: FitSuggestion[] = [
  {
    change: "quantization",
    text: "qwen3:32b-q3_K_M fits whole on the GPU: 15.9 GiB in all.",
    name: "qwen3:32b-q3_K_M",
    context_length: 4096,
    kv_cache_type: "f16",
    num_parallel: 1,
    verdict: "full",
    total_bytes: 15.9 * GIB,
    download_bytes: 15.1e9,
    basis: "catalog",
  },
  {
    change: "context",
    text: "A context of 2048 tokens runs with 52 of 65 layers on the GPU: 19.6 GiB in all.",
    name: "qwen3:32b",
    context_length: 2048,
    kv_cache_type: "f16",
    num_parallel: 1,
    verdict: "partial",
    total_bytes: 19.6 * GIB,
    download_bytes: null,
    basis: "header",
  },
  {
    change: "cache",
    text: "A cache of q8_0 runs with 45 of 65 layers on the GPU: 22 GiB in all.",
    name: "qwen3:32b",
    context_length: 32_768,
    kv_cache_type: "q8_0",
    num_parallel: 1,
    verdict: "partial",
    total_bytes: 22.9 * GIB,
    download_bytes: null,
    basis: "header",
  },
  {
    change: "unload",
    text: "Unloading gemma3:12b fits whole on the GPU: 24.2 GiB in all.",
    name: "qwen3:32b",
    context_length: 32_768,
    kv_cache_type: "f16",
    num_parallel: 1,
    verdict: "full",
    total_bytes: 24.2 * GIB,
    download_bytes: null,
    basis: "header",
  },
];

const second: Gpu = { ...gpu, index: 1, uuid: "GPU-2", name: "NVIDIA GeForce RTX 3060", total_bytes: 12 * GIB, free_bytes: 11.6 * GIB };
const users = [
  { name: "firefox", gpu: 0, used_bytes: 0.6 * GIB, pid: 4242 },
  { name: "gemma3:12b", gpu: 0, used_bytes: 6.6 * GIB, pid: null },
];

export const fitCards = {
  full: cardOf(llama, devices, { users }),
  partial: cardOf(qwen, devices, {
    users,
    suggestions,
    recommended_gpu: { memory_bytes: 32 * GIB, count: 1, needed_bytes: 28 * GIB, cards: ["RTX 5090"] },
  }),
  experts: cardOf(experts, devices, { least_bytes: 19 * GIB, most_bytes: 24 * GIB, known_architecture: false }),
  cpu: cardOf(llama, noGpu, { notes: ["No GPU was found: the NVIDIA driver library was not found."] }),
  impossible: cardOf(huge, devices, {
    basis: "manifest",
    installed: false,
    recommended_gpu: { memory_bytes: 80 * GIB, count: 6, needed_bytes: 400 * GIB, cards: ["A100 80GB", "H100"] },
  }),
  unknown: cardOf(llama, null, { notes: ["The server is on another machine, whose memory cannot be seen from here."] }),
  two: cardOf(qwen, { ...devices, gpus: [gpu, second] }, { users }),
  loaded: {
    ...cardOf(llama, devices, { users }),
    check: {
      name: "llama3.2:3b",
      context_length: 32_768,
      estimated_bytes: 5.2 * GIB,
      estimated_vram_bytes: 5.2 * GIB,
      ps_bytes: 5.3 * GIB,
      ps_vram_bytes: 5.3 * GIB,
    },
  },
} satisfies Record<string, FitCard>;
