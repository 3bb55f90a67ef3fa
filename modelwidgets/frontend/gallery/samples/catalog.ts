/** Families of the catalog. */
import type { CatalogModel, CatalogSlice, CatalogTag } from "../../src/records";
import { GB, digestOf } from "./units";

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
