/**
 * The records that travel from Python to the page: `modelwidgets/records.py`,
 * `device_records.py` and `fit_records.py` with the same spelling.
 * `tests/test_records.py` compares the two sides. Dates are ISO 8601 texts here.
 */

export type PullState = "queued" | "running" | "done" | "failed" | "cancelled" | "interrupted";
export type PullPhase =
  | "queued"
  | "checking"
  | "manifest"
  | "downloading"
  | "stalled"
  | "retrying"
  | "verifying"
  | "writing"
  | "done";
export type ServiceState = "running" | "starting" | "stopped" | "hung" | "unreachable" | "foreign";
export type NoticeKind = "success" | "info" | "warning" | "error";

export type MemoryPart =
  | "weights"
  | "kv_cache"
  | "recurrent_state"
  | "compute"
  | "projector"
  | "adapter"
  | "output"
  | "overhead";
export type MemoryBasis = "header" | "manifest" | "catalog" | "guess";
export type FitVerdict = "full" | "moe-partial" | "partial" | "cpu" | "no";
export type FitChange = "context" | "cache" | "parallel" | "unload" | "quantization";

export interface InstalledModel {
  name: string;
  digest: string;
  size_bytes: number;
  modified_at: string | null;
  format: string;
  family: string;
  families: string[];
  parameter_size: string;
  parameters: number | null;
  quantization: string;
  max_context_length: number | null;
  embedding_length: number | null;
  capabilities: string[] | null;
  remote_model: string | null;
  remote_host: string | null;
}

export interface RunningModel {
  name: string;
  digest: string;
  size_bytes: number;
  size_vram_bytes: number;
  expires_at: string | null;
  context_length: number | null;
}

export interface Tensor {
  name: string;
  type: string;
  shape: number[];
}

export interface ModelInfo {
  name: string;
  license: string;
  modelfile: string;
  parameters_text: string;
  template: string;
  system: string;
  format: string;
  family: string;
  families: string[];
  parameter_size: string;
  parameters: number | null;
  quantization: string;
  capabilities: string[] | null;
  max_context_length: number | null;
  embedding_length: number | null;
  requires: string | null;
  modified_at: string | null;
  remote_model: string | null;
  remote_host: string | null;
  model_info: Record<string, unknown>;
  projector_info: Record<string, unknown>;
  tensors: Tensor[];
}

export interface Layer {
  media_type: string;
  digest: string;
  size_bytes: number;
}

export interface Manifest {
  name: string;
  digest: string;
  layers: Layer[];
  total_bytes: number;
}

export interface PullStep {
  status: string;
  digest: string | null;
  total_bytes: number | null;
  completed_bytes: number;
}

export interface PullPlan {
  name: string;
  digest: string | null;
  total_bytes: number | null;
  present_bytes: number;
  shared_bytes: number;
  partial_bytes: number;
  to_fetch_bytes: number | null;
  free_bytes: number | null;
  reserve_bytes: number;
  claimed_bytes: number;
  reason: string | null;
  fit: FitMark | null;
}

export interface PullProgress {
  id: string;
  name: string;
  url: string;
  state: PullState;
  phase: PullPhase;
  status: string;
  total_bytes: number | null;
  completed_bytes: number;
  bytes_per_second: number | null;
  eta_seconds: number | null;
  position: number | null;
  error: string | null;
  error_kind: string | null;
  digest: string | null;
  proof: string | null;
  plan: PullPlan | null;
  created_at: string;
  started_at: string | null;
  ended_at: string | null;
  owner: string | null;
}

export interface DeletePlan {
  name: string;
  frees_bytes: number;
  exact: boolean;
  kept_bytes: number;
  shared_with: string[];
  running: boolean;
}

export interface BulkDeletePlan {
  names: string[];
  frees_bytes: number;
  exact: boolean;
  kept_bytes: number;
  shared_with: string[];
  running: string[];
  missing: string[];
}

export interface DeleteFailure {
  name: string;
  error: string;
  error_kind: string;
}

export interface BulkDeletion {
  deleted: string[];
  failed: DeleteFailure[];
}

export interface CatalogTag {
  tag: string;
  name: string;
  size_bytes: number | null;
  size_exact: boolean;
  parameters: string | null;
  quantization: string | null;
  context_length: number | null;
  digest: string | null;
  architecture: string | null;
  recommended: boolean;
  projector_bytes: number | null;
  same_as: string[];
}

export interface CatalogModel {
  name: string;
  description: string;
  publisher: string | null;
  category: string;
  categories: string[];
  capabilities: string[];
  license: string | null;
  pulls: number | null;
  updated: string | null;
  recommended_tag: string | null;
  tags: CatalogTag[];
  custom: boolean;
  unchecked: boolean;
}

export interface CatalogSlice {
  as_of: string;
  models: CatalogModel[];
  problems: string[];
}

export interface GpuProcess {
  pid: number;
  name: string | null;
  used_bytes: number | null;
}

export interface Gpu {
  index: number;
  name: string;
  uuid: string | null;
  total_bytes: number | null;
  free_bytes: number | null;
  unified: boolean;
  error: string | null;
  assumed: boolean;
  library: "cuda" | "rocm" | "metal" | "vulkan" | null;
  reserved_bytes: number | null;
  multiprocessors: number | null;
  compute_capability: string | null;
  slice_of: string | null;
  visible: boolean;
  processes: GpuProcess[];
}

export interface Devices {
  gpus: Gpu[];
  driver: string | null;
  reason: string | null;
  ram_total_bytes: number;
  ram_available_bytes: number;
  swap_total_bytes: number;
  swap_free_bytes: number;
  given: boolean;
}

export interface MemorySample {
  at: string;
  free_bytes: (number | null)[];
}

export interface ModelDisk {
  name: string;
  own_bytes: number;
}

export interface MemoryTerm {
  part: MemoryPart;
  gpu: number | null;
  size_bytes: number;
  basis: MemoryBasis;
}

export interface MemoryEstimate {
  terms: MemoryTerm[];
  total_bytes: number;
  least_bytes: number;
  most_bytes: number;
  known_architecture: boolean;
}

export interface FitGlance {
  verdict: FitVerdict;
  needed_bytes: number;
  gpu_layers: number | null;
}

export interface Placement {
  verdict: FitVerdict;
  gpu_layers: number;
  layer_count: number;
  layers_by_gpu: number[];
  experts_in_ram: number;
  gpus: number[];
  estimate: MemoryEstimate;
  margins_bytes: number[];
  fits_when_forced: boolean;
  ram_needed_bytes: number;
  ram_available_bytes: number | null;
  swap_bytes: number;
}

export interface MemoryUser {
  name: string | null;
  gpu: number | null;
  used_bytes: number | null;
  pid: number | null;
}

export interface FitSuggestion {
  change: FitChange;
  text: string;
  name: string;
  context_length: number;
  kv_cache_type: string;
  num_parallel: number;
  verdict: FitVerdict;
  total_bytes: number;
  download_bytes: number | null;
  basis: MemoryBasis;
}

export interface RecommendedGpu {
  memory_bytes: number;
  count: number;
  needed_bytes: number;
  cards: string[];
}

export interface FitReport {
  name: string;
  verdict: FitVerdict | null;
  context_length: number;
  kv_cache_type: string;
  num_parallel: number;
  num_batch: number;
  terms: MemoryTerm[];
  total_bytes: number;
  least_bytes: number;
  most_bytes: number;
  basis: MemoryBasis;
  known_architecture: boolean;
  gpu_layers: number;
  layer_count: number;
  experts_in_ram: number;
  devices: Devices | null;
  users: MemoryUser[];
  suggestions: FitSuggestion[];
  recommended_gpu: RecommendedGpu | null;
  download_bytes: number | null;
  installed: boolean;
  notes: string[];
}

export interface FitRow {
  name: string;
  verdict: FitVerdict | null;
  context_length: number | null;
  total_bytes: number | null;
  gpu_bytes: number | null;
  ram_bytes: number | null;
  weights_bytes: number | null;
  kv_cache_bytes: number | null;
  download_bytes: number | null;
  gpu_layers: number | null;
  layer_count: number | null;
  basis: MemoryBasis | null;
  recommended_gpu: string | null;
  error: string | null;
}

export interface FitMark {
  verdict: FitVerdict | null;
  fits: boolean | null;
  needed_bytes: number | null;
  gpu_layers: number | null;
  layer_count: number | null;
  basis: MemoryBasis | null;
}

export interface FitMarks {
  context_length: number | null;
  judged: boolean;
  marks: Record<string, FitMark>;
}

/** A part, the number of its GPU (null: RAM), and its bytes. */
export type StopTerm = [MemoryPart, number | null, number];

export interface FitStop {
  verdict: FitVerdict | null;
  gpu_layers: number;
  experts_in_ram: number;
  total_bytes: number;
  ram_bytes: number;
  terms: StopTerm[];
}

export interface FitStops {
  context_lengths: number[];
  kv_cache_types: string[];
  num_parallels: number[];
  /**
   * At `(cache * parallels + parallel) * contexts + context`, by the places in these lists; null: not
   * worked out yet.
   */
  results: (FitStop | null)[];
}

export interface FitCheck {
  name: string;
  context_length: number | null;
  estimated_bytes: number;
  estimated_vram_bytes: number;
  ps_bytes: number;
  ps_vram_bytes: number;
}

export interface FitCard {
  report: FitReport;
  stops: FitStops;
  check: FitCheck | null;
}

export interface DiskUsage {
  used_bytes: number;
  exact: boolean;
  partial_bytes: number | null;
  free_bytes: number | null;
  path: string | null;
  models: ModelDisk[];
  other_models: number;
  other_bytes: number;
  shared_bytes: number | null;
  unused_bytes: number | null;
  damaged: string[];
}

export interface ServiceStatus {
  state: ServiceState;
  reason: string | null;
  url: string;
  version: string | null;
  kind: "ollama" | "embedded" | "unknown";
  local: boolean;
  old: string | null;
  sample_registry: string | null;
  viewer: string;
  checked_at: string;
}

export interface InstalledSlice {
  models: InstalledModel[];
  as_of: string | null;
  stale: string | null;
  deleting: string[];
}

export interface Quantization {
  scheme: string;
  meaning: string | null;
  bits_per_weight: number | null;
  basis: string | null;
}

export interface StoredLayer {
  media_type: string;
  digest: string;
  size_bytes: number;
  path: string | null;
  shared_with: string[];
}

export interface Snippet {
  title: string;
  language: "python" | "shell";
  install: string | null;
  code: string;
  note: string | null;
}

export interface ModelDetails {
  name: string;
  installed: InstalledModel | null;
  info: ModelInfo | null;
  manifest: Manifest | null;
  catalog: CatalogModel | null;
  delete_plan: DeletePlan | null;
  tag: CatalogTag | null;
  basis: "server" | "list" | "catalog" | "registry" | null;
  quantization: Quantization | null;
  layers: StoredLayer[];
  manifest_path: string | null;
  problem: string | null;
  snippets: Snippet[];
}

export interface Action {
  label: string;
  method: string;
  params: Record<string, unknown>;
}

export interface Notice {
  id: string;
  kind: NoticeKind;
  text: string;
  actions: Action[];
  at: string;
}
