/** Records as a kernel would send them, for the gallery and the tests. */
import type {
  CatalogModel,
  CatalogSlice,
  CatalogTag,
  DeletePlan,
  Devices,
  DiskUsage,
  Gpu,
  InstalledModel,
  InstalledSlice,
  ModelDetails,
  Notice,
  PullPlan,
  PullProgress,
  RunningModel,
  ServiceStatus,
} from "../src/records";

const GB = 1e9;
const GIB = 2 ** 30;
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export function ago(ms: number): string {
  return new Date(Date.now() - ms).toISOString();
}

/** 64 hex digits that differ with the text. */
export function digestOf(text: string): string {
  let state = 7;
  return Array.from({ length: 64 }, (_, at) => {
    state = (state * 31 + (text.codePointAt(at % text.length) ?? 0) + at) % 65_521;
    return (state % 16).toString(16);
  }).join("");
}

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
    parameter_size: "12.2B",
    parameters: 12.2e9,
    capabilities: ["completion", "vision"],
  }),
  installedModel("llama3.2:3b", { modified_at: ago(26 * HOUR) }),
  installedModel("qwen3:32b", {
    size_bytes: 20.2 * GB,
    modified_at: ago(3 * DAY),
    family: "qwen3",
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

export const plan: PullPlan = {
  name: "deepseek-r1:70b",
  digest: digestOf("deepseek-r1:70b"),
  total_bytes: 42.5 * GB,
  present_bytes: 2.1 * GB,
  shared_bytes: 0,
  partial_bytes: 0,
  to_fetch_bytes: 40.4 * GB,
  free_bytes: 31 * GB,
  reserve_bytes: 1 * GB,
  reason: null,
};

export function pull(name: string, fields: Partial<PullProgress> = {}): PullProgress {
  return {
    id: `pull-${name}`,
    name,
    url: "http://localhost:11434",
    state: "running",
    phase: "downloading",
    status: "downloading",
    total_bytes: 8.1 * GB,
    completed_bytes: 4.7 * GB,
    bytes_per_second: 58e6,
    eta_seconds: 58.6,
    position: null,
    error: null,
    error_kind: null,
    digest: digestOf(name),
    proof: null,
    plan: null,
    created_at: ago(5 * MINUTE),
    started_at: ago(5 * MINUTE),
    ended_at: null,
    ...fields,
  };
}

const SPACE =
  "deepseek-r1:70b needs 40.4 GB more on disk, 31.0 GB are free and 1.0 GB of these are kept in reserve: " +
  "10.4 GB too little. Delete a model you do not need, or pull with force=True.";

export const noSpace = SPACE;

export const pulls: PullProgress[] = [
  pull("qwen2.5-coder:14b", { total_bytes: 9 * GB, completed_bytes: 5.2 * GB, eta_seconds: 65 }),
  pull("deepseek-r1:8b", {
    phase: "stalled",
    status: "No bytes for 12 s, the server tries again (2 of 6)",
    total_bytes: 5.2 * GB,
    completed_bytes: 1.6 * GB,
    bytes_per_second: 0,
    eta_seconds: null,
  }),
  pull("mistral-small:24b", {
    state: "queued",
    phase: "queued",
    status: "waiting",
    total_bytes: 14.3 * GB,
    completed_bytes: 0,
    bytes_per_second: null,
    eta_seconds: null,
    position: 1,
  }),
  pull("phi4:14b", {
    state: "queued",
    phase: "queued",
    total_bytes: null,
    completed_bytes: 0,
    bytes_per_second: null,
    eta_seconds: null,
    position: 2,
  }),
];

const ended = { bytes_per_second: null, eta_seconds: null };

export const everyPull: PullProgress[] = [
  ...pulls,
  pull("all-minilm:22m", {
    phase: "verifying",
    total_bytes: 0.046 * GB,
    completed_bytes: 0.046 * GB,
    ...ended,
  }),
  pull("smollm2:135m", { phase: "manifest", total_bytes: null, completed_bytes: 0, ...ended }),
  pull("private.example:5000/team/model:v1", { total_bytes: null, completed_bytes: 1.3 * GB, ...ended }),
  pull("gemma3:12b", {
    ...ended,
    state: "done",
    phase: "done",
    completed_bytes: 8.1 * GB,
    proof: "listed with the expected digest",
    ended_at: ago(3 * MINUTE),
  }),
  pull("llama3.3:70b", {
    ...ended,
    state: "cancelled",
    phase: "downloading",
    total_bytes: 42.5 * GB,
    completed_bytes: 18.3 * GB,
    ended_at: ago(10 * MINUTE),
  }),
  pull("qwen3:8b", {
    ...ended,
    state: "interrupted",
    phase: "downloading",
    total_bytes: 5.2 * GB,
    completed_bytes: 2.25 * GB,
    ended_at: ago(2 * HOUR),
  }),
  pull("llama9:latest", {
    ...ended,
    state: "failed",
    phase: "manifest",
    total_bytes: null,
    completed_bytes: 0,
    error:
      "pull model manifest: file does not exist\nThe registry does not know this name: check its spelling and its tag.",
    error_kind: "PullFailedError",
    ended_at: ago(20 * MINUTE),
  }),
  pull("deepseek-r1:70b", {
    ...ended,
    state: "failed",
    phase: "checking",
    total_bytes: 42.5 * GB,
    completed_bytes: 2.1 * GB,
    plan,
    error: SPACE,
    error_kind: "NotEnoughSpaceError",
    ended_at: ago(30 * MINUTE),
  }),
];

export function tag(name: string, fields: Partial<CatalogTag> = {}): CatalogTag {
  return {
    tag: name.split(":")[1] ?? "latest",
    name,
    size_bytes: 2.02 * GB,
    size_exact: true,
    parameters: "3B",
    quantization: "Q4_K_M",
    context_length: 131_072,
    digest: digestOf(name),
    architecture: null,
    recommended: false,
    projector_bytes: null,
    same_as: [],
    ...fields,
  };
}

export function family(name: string, fields: Partial<CatalogModel> = {}): CatalogModel {
  return {
    name,
    description: `The ${name} family of models`,
    publisher: "Meta",
    category: "chat",
    categories: ["chat"],
    capabilities: ["completion"],
    license: "apache-2.0",
    pulls: 1_000_000,
    updated: "2026-05",
    recommended_tag: null,
    tags: [tag(`${name}:3b`)],
    custom: false,
    unchecked: false,
    ...fields,
  };
}

function sizes(name: string, ...all: [tag: string, gigabytes: number][]): CatalogTag[] {
  return all.map(([label, gigabytes], at) =>
    tag(`${name}:${label}`, {
      size_bytes: gigabytes * GB,
      parameters: label.toUpperCase(),
      recommended: at === 1,
    }),
  );
}

export const catalog: CatalogSlice = {
  as_of: "2026-08-21",
  problems: [],
  models: [
    family("gemma3", {
      description: "Open multimodal models for one GPU, with 128K of context and 140 languages",
      publisher: "Google DeepMind",
      categories: ["chat", "vision"],
      capabilities: ["completion", "vision"],
      license: "gemma",
      pulls: 31_400_000,
      tags: [
        tag("gemma3:latest", { size_bytes: 3.34 * GB, parameters: "4B", digest: digestOf("gemma3:4b") }),
        tag("gemma3:1b", { size_bytes: 0.815 * GB, parameters: "1B", context_length: 32_768 }),
        tag("gemma3:4b", { size_bytes: 3.34 * GB, parameters: "4B", recommended: true }),
        tag("gemma3:12b", { size_bytes: 8.15 * GB, parameters: "12B" }),
        tag("gemma3:27b", {
          size_bytes: 17.4 * GB,
          parameters: "27B",
          size_exact: false,
          digest: "a418f5838eaf",
        }),
        tag("gemma3:12b-it-qat", {
          size_bytes: 8.93 * GB,
          parameters: "12B",
          quantization: "Q4_0",
          digest: digestOf("my-assistant:v2"),
        }),
      ],
    }),
    family("llama3.1", {
      description:
        "Multilingual instruct models with 128K context and tool calling, in 8B, 70B and 405B sizes",
      categories: ["chat", "tools"],
      capabilities: ["completion", "tools"],
      license: "llama3.1",
      pulls: 118_700_000,
      updated: "2025-07",
      tags: sizes("llama3.1", ["70b", 42.5], ["8b", 4.92], ["405b", 243]),
    }),
    family("llama3.2", {
      description: "Small instruct models for laptops and edge devices",
      categories: ["chat", "tools"],
      capabilities: ["completion", "tools"],
      pulls: 71_900_000,
      tags: sizes("llama3.2", ["1b", 1.32], ["3b", 2.02]),
    }),
    family("qwen3", {
      description: "Dense and mixture-of-experts models that switch between thinking and quick answers",
      publisher: "Alibaba",
      categories: ["chat", "reasoning", "tools"],
      capabilities: ["completion", "tools", "thinking"],
      pulls: 26_100_000,
      tags: sizes(
        "qwen3",
        ["0.6b", 0.52],
        ["8b", 5.2],
        ["1.7b", 1.4],
        ["4b", 2.5],
        ["14b", 9.3],
        ["30b", 19],
        ["32b", 20.2],
        ["235b", 142],
      ),
    }),
    family("nomic-embed-text", {
      description: "Text embeddings with a long context, for search and retrieval",
      publisher: "Nomic AI",
      category: "embedding",
      categories: ["embedding"],
      capabilities: ["embedding"],
      pulls: 58_300_000,
      tags: [
        tag("nomic-embed-text:latest", {
          size_bytes: 0.274 * GB,
          parameters: "137M",
          quantization: "F16",
          context_length: 2048,
        }),
      ],
    }),
    family("qwen2.5-coder", {
      description: "Code models that write, repair and explain, in six sizes",
      publisher: "Alibaba",
      category: "code",
      categories: ["code"],
      capabilities: ["completion", "tools"],
      pulls: 14_800_000,
      tags: sizes("qwen2.5-coder", ["0.5b", 0.4], ["14b", 9], ["7b", 4.7], ["32b", 20]),
    }),
    family("hf.co/ada/notes-GGUF", {
      description: "My own notes model",
      publisher: null,
      license: null,
      pulls: null,
      updated: null,
      tags: [
        tag("hf.co/ada/notes-GGUF:Q4_K_M", { size_bytes: null, parameters: null, context_length: null }),
      ],
      custom: true,
      unchecked: true,
    }),
  ],
};

/** As many families as somebody may ever have. */
export function largeCatalog(count: number): CatalogSlice {
  const kinds = ["chat", "code", "vision", "embedding", "reasoning", "tools"];
  const families = Array.from({ length: count }, (_, at) => {
    const kind = kinds[at % kinds.length] as string;
    const name = `family-${at}`;
    return family(name, {
      description: `Family number ${at}, made to see how a long list behaves, good for ${kind}`,
      category: kind,
      categories: [kind],
      pulls: (count - at) * 1000,
      tags: sizes(name, ["1b", 1], ["7b", 4.7], ["14b", 9], ["70b", 42]),
    });
  });
  return { as_of: "2026-08-21", problems: [], models: families };
}

export const details: ModelDetails = {
  name: "gemma3:12b",
  installed: models[0] as InstalledModel,
  info: {
    name: "gemma3:12b",
    license:
      "Gemma Terms of Use\n\nLast modified: February 21, 2024\n\n" +
      "By using, reproducing, modifying … ".repeat(40),
    modelfile:
      '# Modelfile generated by "ollama show"\nFROM gemma3:12b\nTEMPLATE """{{ .Prompt }}"""\nPARAMETER top_k 64\n',
    parameters_text:
      'stop                           "<end_of_turn>"\ntemperature                    1\ntop_k                          64',
    template:
      "{{- range $i, $_ := .Messages }}\n<start_of_turn>{{ .Role }}\n{{ .Content }}<end_of_turn>\n{{- end }}",
    system: "",
    format: "gguf",
    family: "gemma3",
    families: ["gemma3"],
    parameter_size: "12.2B",
    parameters: 12_187_325_040,
    quantization: "Q4_K_M",
    capabilities: ["completion", "vision"],
    max_context_length: 131_072,
    embedding_length: 3840,
    requires: "0.6.0",
    modified_at: ago(2 * HOUR),
    remote_model: null,
    remote_host: null,
    model_info: { "general.architecture": "gemma3" },
    projector_info: {},
    tensors: [],
  },
  manifest: {
    name: "gemma3:12b",
    digest: digestOf("gemma3:12b"),
    layers: [
      {
        media_type: "application/vnd.ollama.image.model",
        digest: `sha256:${digestOf("weights")}`,
        size_bytes: 8.149 * GB,
      },
      {
        media_type: "application/vnd.ollama.image.template",
        digest: `sha256:${digestOf("template")}`,
        size_bytes: 358,
      },
      {
        media_type: "application/vnd.ollama.image.license",
        digest: `sha256:${digestOf("license")}`,
        size_bytes: 8432,
      },
      {
        media_type: "application/vnd.ollama.image.params",
        digest: `sha256:${digestOf("params")}`,
        size_bytes: 77,
      },
      {
        media_type: "application/vnd.docker.container.image.v1+json",
        digest: `sha256:${digestOf("config")}`,
        size_bytes: 490,
      },
    ],
    total_bytes: 8.15 * GB,
  },
  catalog: catalog.models[0] as CatalogModel,
  delete_plan: {
    name: "gemma3:12b",
    frees_bytes: 0.3 * GB,
    exact: true,
    kept_bytes: 7.85 * GB,
    shared_with: ["my-assistant:v2"],
    running: false,
  },
};

export function deletePlan(name: string, fields: Partial<DeletePlan> = {}): DeletePlan {
  return {
    name,
    frees_bytes: 2.02 * GB,
    exact: true,
    kept_bytes: 0,
    shared_with: [],
    running: false,
    ...fields,
  };
}

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
