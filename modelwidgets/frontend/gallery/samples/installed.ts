/** Models on disk and in memory. */
import type { InstalledModel, InstalledSlice, RunningModel } from "../../src/records";
import { DAY, GB, GIB, HOUR, MINUTE, ago, digestOf } from "./units";

export function installedModel(name: string, fields: Partial<InstalledModel> = {}): InstalledModel {
  return {
    name,
    digest: digestOf(name),
    size_bytes: 2.02 * GB,
    modified_at: ago(2 * HOUR),
    format: "gguf",
    family: "llama",
    families: ["llama"],
    parameter_size: "3.2B",
    parameters: 3.2e9,
    quantization: "Q4_K_M",
    max_context_length: 131_072,
    embedding_length: 3072,
    capabilities: ["completion", "tools"],
    remote_model: null,
    remote_host: null,
    ...fields,
  };
}

export const models: InstalledModel[] = [
  installedModel("gemma3:12b", {
    size_bytes: 8.15 * GB,
    family: "gemma3",
    families: ["gemma3"],
    parameter_size: "12.2B",
    parameters: 12.2e9,
    capabilities: ["completion", "vision"],
  }),
  installedModel("llama3.2:3b", { modified_at: ago(26 * HOUR) }),
  installedModel("qwen3:32b", {
    size_bytes: 20.2 * GB,
    modified_at: ago(3 * DAY),
    family: "qwen3",
    families: ["qwen3"],
    parameter_size: "32.8B",
    parameters: 32.8e9,
    capabilities: ["completion", "tools", "thinking"],
  }),
  installedModel("nomic-embed-text:latest", {
    size_bytes: 0.274 * GB,
    modified_at: ago(40 * DAY),
    family: "nomic-bert",
    parameter_size: "137M",
    parameters: 137e6,
    quantization: "F16",
    max_context_length: 2048,
    capabilities: ["embedding"],
  }),
  installedModel("hf.co/bartowski/Llama-3.2-1B-Instruct-GGUF:Q8_0", {
    size_bytes: 1.32 * GB,
    modified_at: ago(80 * DAY),
    parameter_size: "1.24B",
    parameters: 1.24e9,
    quantization: "Q8_0",
    capabilities: ["completion"],
  }),
  installedModel("my-assistant:v2", {
    size_bytes: 8.15 * GB,
    modified_at: ago(12 * MINUTE),
    family: "gemma3",
    families: ["gemma3"],
    parameter_size: "12.2B",
    parameters: 12.2e9,
  }),
  installedModel("gpt-oss:120b-cloud", {
    size_bytes: 384,
    modified_at: ago(5 * DAY),
    family: "gptoss",
    parameter_size: "116.8B",
    parameters: 116.8e9,
    quantization: "MXFP4",
    remote_model: "gpt-oss:120b",
    remote_host: "https://ollama.com:443",
  }),
];

export const installed: InstalledSlice = { models, as_of: ago(3000), stale: null, deleting: [] };

export const running: RunningModel[] = [
  {
    name: "llama3.2:3b",
    digest: digestOf("llama3.2:3b"),
    size_bytes: 3.4 * GIB,
    size_vram_bytes: 3.4 * GIB,
    expires_at: ago(-4 * MINUTE),
    context_length: 4096,
  },
];

const LONG = "a-name-as-long-as-names-may-be-".repeat(3).slice(0, 80);

/** Texts as somebody might set them who means no good, and such as are only unusual. */
export const hostile: InstalledModel[] = [
  installedModel(`registry.example.com:5000/${LONG}/${LONG}:${LONG.slice(0, 40)}`, {
    modified_at: ago(1 * HOUR),
  }),
  installedModel("<img src=x onerror=alert(1)>:latest", {
    family: "<script>alert(1)</script>",
    quantization: "<b>Q4</b>",
    parameter_size: "&amp;B",
    capabilities: ["completion", "<i>tools</i>"],
    modified_at: ago(2 * HOUR),
  }),
  installedModel("\u202egpj.exe\u202c:latest", { modified_at: ago(3 * HOUR) }),
  installedModel("نموذج-عربي:latest", { modified_at: ago(4 * HOUR) }),
  installedModel("\u001b[31mred\u001b[0m:latest", {
    modified_at: null,
    parameter_size: "",
    parameters: null,
    quantization: "",
    capabilities: null,
  }),
];
