/** A card's numbers as bars: what lies on each device, and how much of it is left. */
import * as format from "../format";
import { shortGpu } from "../header";
import type { Devices, FitStop, FitStops, MemoryPart } from "../records";
import * as say from "../strings";

export type PieceKind = MemoryPart | "others" | "free" | "over";

export interface Piece {
  kind: PieceKind;
  bytes: number;
}

export interface DeviceBar {
  title: string;
  /** Null where nothing is known of it. */
  capacityBytes: number | null;
  /** What the whole bar stands for: its capacity, or more where more is asked of it. */
  scaleBytes: number;
  pieces: Piece[];
}

/** The order of parts, from what stays to what comes and goes. */
export const PARTS: readonly MemoryPart[] = [
  "weights",
  "adapter",
  "projector",
  "kv_cache",
  "recurrent_state",
  "compute",
  "output",
  "overhead",
];

/** A setting by its places in the lists of stops. */
export interface Setting {
  cache: number;
  parallel: number;
  context: number;
}

/** What is known of a setting; null where it has not been worked out. */
export function stopAt({ results, context_lengths, num_parallels }: FitStops, setting: Setting): FitStop | null {
  const { cache, parallel, context } = setting;
  return results[(cache * num_parallels.length + parallel) * context_lengths.length + context] ?? null;
}

/** The nearest setting that a card offers; of contexts the next smaller one. */
export function settingOf(
  stops: FitStops,
  of: { context_length: number; kv_cache_type: string; num_parallel: number },
): Setting {
  const place = (at: number) => Math.max(at, 0);
  return {
    cache: place(stops.kv_cache_types.indexOf(of.kv_cache_type)),
    parallel: place(stops.num_parallels.indexOf(of.num_parallel)),
    context: place(stops.context_lengths.findLastIndex((length) => length <= of.context_length)),
  };
}

/** One bar for each GPU that can be seen, and one for RAM. */
export function barsOf(stop: FitStop, devices: Devices | null): DeviceBar[] {
  const gpus = (devices?.gpus ?? []).filter(({ visible }) => visible);
  const seen = gpus.map((gpu) => {
    const name = format.name(shortGpu(gpu.name));
    const title = gpus.length > 1 ? say.fitGpu(gpu.index, name) : name;
    return barOf(stop, gpu.index, title, gpu.total_bytes, gpu.free_bytes);
  });
  const unseen = [...new Set(stop.terms.map(([, gpu]) => gpu))]
    .filter((gpu): gpu is number => gpu !== null && !gpus.some(({ index }) => index === gpu))
    .map((gpu) => barOf(stop, gpu, say.fitAnyGpu, null, null));
  const ram = barOf(
    stop,
    null,
    say.ram,
    devices?.ram_total_bytes ?? null,
    devices?.ram_available_bytes ?? null,
  );
  return devices || ram.pieces.length > 0 ? [...seen, ...unseen, ram] : unseen;
}

function barOf(
  { terms }: FitStop,
  gpu: number | null,
  title: string,
  capacityBytes: number | null,
  freeBytes: number | null,
): DeviceBar {
  const asked = PARTS.map((part) => ({
    kind: part as PieceKind,
    bytes: terms.reduce((sum, [one, on, bytes]) => sum + (one === part && on === gpu ? bytes : 0), 0),
  }));
  const needed = asked.reduce((sum, { bytes }) => sum + bytes, 0);
  if (capacityBytes === null || freeBytes === null) {
    return { title, capacityBytes, scaleBytes: capacityBytes ?? needed, pieces: asked.filter(isThere) };
  }
  const others = { kind: "others" as const, bytes: Math.max(capacityBytes - freeBytes, 0) };
  const left = freeBytes - needed;
  const rest: Piece = left < 0 ? { kind: "over", bytes: -left } : { kind: "free", bytes: left };
  return {
    title,
    capacityBytes,
    scaleBytes: Math.max(capacityBytes, others.bytes + needed),
    pieces: [others, ...asked, rest].filter(isThere),
  };
}

const isThere = ({ bytes }: Piece) => bytes > 0;
