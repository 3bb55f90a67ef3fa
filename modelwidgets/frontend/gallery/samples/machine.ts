/** The server and its machine, as a kernel would tell of them. */
import type { Devices, DiskUsage, Gpu, InstalledModel, MemorySample, ServiceStatus } from "../../src/records";
import { GB, GIB, ago } from "./units";

export const service: ServiceStatus = {
  state: "running",
  reason: null,
  url: "http://localhost:11434",
  version: "0.33.0",
  kind: "ollama",
  local: true,
  old: null,
  sample_registry: null,
  viewer: "kernel on workstation",
  checked_at: ago(2000),
};

export const noServer =
  "No Ollama server answers at http://localhost:11434 (connection refused). Start it with `ollama serve`.";

export const gpu: Gpu = {
  index: 0,
  name: "NVIDIA GeForce RTX 4090",
  uuid: "GPU-1",
  total_bytes: 24 * GIB,
  free_bytes: 16.8 * GIB,
  unified: false,
  error: null,
  assumed: false,
  library: "cuda",
  reserved_bytes: 0.4 * GIB,
  multiprocessors: 128,
  compute_capability: "8.9",
  slice_of: null,
  visible: true,
  processes: [],
};

export const devices: Devices = {
  gpus: [gpu],
  driver: "570.86.10",
  reason: null,
  ram_total_bytes: 64 * GIB,
  ram_available_bytes: 41.3 * GIB,
  swap_total_bytes: 8 * GIB,
  swap_free_bytes: 8 * GIB,
  given: false,
};

export const noGpu: Devices = {
  ...devices,
  gpus: [],
  driver: null,
  reason: "the NVIDIA driver library was not found",
};

export const disk: DiskUsage = {
  used_bytes: 33.7 * GB,
  exact: true,
  partial_bytes: 0.4 * GB,
  free_bytes: 312 * GB,
  path: "/home/ada/.ollama/models",
  models: [
    { name: "qwen3:32b", own_bytes: 20.2 * GB },
    { name: "llama3.2:3b", own_bytes: 2.02 * GB },
    { name: "hf.co/bartowski/Llama-3.2-1B-Instruct-GGUF:Q8_0", own_bytes: 1.32 * GB },
    { name: "gemma3:12b", own_bytes: 0.3 * GB },
    { name: "my-assistant:v2", own_bytes: 0.3 * GB },
    { name: "nomic-embed-text:latest", own_bytes: 0.274 * GB },
  ],
  other_models: 0,
  other_bytes: 0,
  shared_bytes: 7.85 * GB,
  unused_bytes: 1.436 * GB,
  damaged: [],
};

/** The disk where models lie that share nothing. */
export function diskOf(models: readonly InstalledModel[]): DiskUsage {
  const inAll = (some: readonly InstalledModel[]) => some.reduce((sum, { size_bytes }) => sum + size_bytes, 0);
  const largest = [...models].sort((one, other) => other.size_bytes - one.size_bytes);
  return {
    ...disk,
    used_bytes: inAll(models),
    partial_bytes: 0,
    models: largest.slice(0, 6).map(({ name, size_bytes }) => ({ name, own_bytes: size_bytes })),
    other_models: Math.max(models.length - 6, 0),
    other_bytes: inAll(largest.slice(6)),
    shared_bytes: 0,
    unused_bytes: 0,
  };
}

/** A line of memory over ten minutes, with a hole where nobody looked; one more GPU is idler. */
export function gpuMemory(gpus: number): MemorySample[] {
  return Array.from({ length: 60 }, (_, at) => at)
    .filter((at) => at < 22 || at > 29)
    .map((at) => {
      const used = at < 12 ? 1.2 : at < 40 ? 6 + at * 0.15 : 7.2;
      return {
        at: ago((60 - at) * 10_000),
        free_bytes: Array.from({ length: gpus }, (_, gpu) => (24 - used / (gpu * 2 + 1)) * GIB),
      };
    });
}
