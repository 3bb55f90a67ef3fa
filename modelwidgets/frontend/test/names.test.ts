import assert from "node:assert/strict";
import { test } from "node:test";

import { familyKey, nameKey, pageOf, parseName, tagOf } from "../src/names";

test("names are read with the defaults of Ollama", () => {
  const defaults = { host: "registry.ollama.ai", namespace: "library" };

  assert.deepEqual(parseName("llama3.2"), { ...defaults, model: "llama3.2", tag: "latest" });
  assert.deepEqual(parseName("llama3.2:3b"), { ...defaults, model: "llama3.2", tag: "3b" });
  assert.deepEqual(parseName("ada/notes:v1"), { ...defaults, namespace: "ada", model: "notes", tag: "v1" });
  assert.deepEqual(parseName("127.0.0.1:5000/samples/chat:tiny"), {
    host: "127.0.0.1:5000",
    namespace: "samples",
    model: "chat",
    tag: "tiny",
  });
  assert.deepEqual(parseName("https://hf.co/org/repo:Q4_K_M")?.host, "hf.co");
});

test("selectors of the source are folded as Ollama folds them", () => {
  assert.equal(parseName("gpt-oss:20b:cloud")?.tag, "20b-cloud");
  assert.equal(parseName("gpt-oss:cloud")?.tag, "cloud");
  assert.equal(parseName("gpt-oss:20b:local")?.tag, "20b");
  assert.equal(parseName("gpt-oss:20b-cloud:local"), null);
});

test("what cannot be a name is none", () => {
  const texts = [
    "",
    "the best model",
    "a/b/c/d",
    "../etc/passwd",
    "model:",
    "hf:org/repo",
    "x".repeat(81),
    "модель",
    "a\nb",
  ];

  assert.deepEqual(
    texts.filter((text) => parseName(text) !== null),
    [],
  );
});

test("two spellings of one model have one key", () => {
  assert.equal(nameKey("Llama3"), nameKey("llama3:latest"));
  assert.equal(nameKey("llama3"), nameKey("registry.ollama.ai/library/llama3"));
  assert.notEqual(nameKey("llama3:8b"), nameKey("llama3"));
});

test("a family is the name without its tag", () => {
  assert.equal(familyKey("llama3.2:3b"), familyKey("llama3.2"));
  assert.notEqual(familyKey("ada/llama3.2:3b"), familyKey("llama3.2"));
  assert.equal(tagOf("hf.co/org/repo:Q4_K_M"), "Q4_K_M");
});

test("only hosts that have a page for each model are linked to", () => {
  assert.equal(pageOf("llama3.2:3b"), "https://ollama.com/library/llama3.2");
  assert.equal(pageOf("hf.co/org/repo:Q4_K_M"), "https://huggingface.co/org/repo");
  assert.equal(pageOf("127.0.0.1:5000/samples/chat:tiny"), null);
  assert.equal(pageOf("javascript:alert(1)"), null);
});
