/** The server and its machine, as a kernel would tell of them. */
import type { Devices, DiskUsage, Gpu, ServiceStatus } from "../../src/records";
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

export const gpu: Gpu = {
  index: 0,
  name: "NVIDIA GeForce RTX 4090",
  uuid: "GPU-1",
  total_bytes: 24 * GIB,
  free_bytes: 16.8 * GIB,
  unified: false,
  error: null,
  assumed: false,
};

export const devices: Devices = {
  gpus: [gpu],
  driver: "570.86.10",
  reason: null,
  ram_total_bytes: 64 * GIB,
  ram_available_bytes: 41.3 * GIB,
};

export const noGpu: Devices = {
  ...devices,
  gpus: [],
  driver: null,
  reason: "the NVIDIA driver library was not found",
};

export const disk: DiskUsage = {
  used_bytes: 41.3 * GB,
  exact: true,
  partial_bytes: 0.4 * GB,
  free_bytes: 312 * GB,
  path: "/home/ada/.ollama/models",
};
