/** Pulls in every state, and what is known before one. */
import type { PullPlan, PullProgress } from "../../src/records";
import { GB, HOUR, MINUTE, ago, digestOf } from "./units";

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
  claimed_bytes: 0,
  reason: null,
  fit: null,
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
    owner: null,
    ...fields,
  };
}

/** What a pull says that finds too little space. */
export function noSpace(name: string, neededGb: number, freeGb: number): string {
  return (
    `${name} needs ${neededGb.toFixed(1)} GB more on disk, ${freeGb.toFixed(1)} GB are free and 1.0 GB of these are ` +
    `kept in reserve: ${(neededGb - freeGb + 1).toFixed(1)} GB too little. ` +
    "Delete a model you do not need, or pull with force=True."
  );
}

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
    error: noSpace("deepseek-r1:70b", 40.4, 31),
    error_kind: "NotEnoughSpaceError",
    ended_at: ago(30 * MINUTE),
  }),
];
