import * as format from "./format";
import { useSlice } from "./hooks";
import type { Host } from "./host";
import type { Gpu, MemorySample } from "./records";
import { Spark } from "./spark";
import * as say from "./strings";

/** As long as the kernel keeps its samples. */
const WINDOW_MS = 10 * 60_000;
/** Samples come every ten seconds while the view can be seen. */
const GAP_MS = 25_000;

/** The used memory of each GPU over the last minutes, as far as somebody looked. */
export function GpuLines({ gpus, host }: { gpus: readonly Gpu[]; host: Host }) {
  const samples = useSlice(host, "gpu_memory");
  const newest = samples.at(-1);
  if (!newest || samples.length < 2) return null;
  const toMs = Date.parse(newest.at);
  return (
    <span class="mw-gpu-lines">
      {gpus.map(
        (gpu, at) =>
          gpu.total_bytes !== null && (
            <Spark
              key={gpu.index}
              points={usedBytes(samples, at, gpu.total_bytes)}
              fromMs={toMs - WINDOW_MS}
              toMs={toMs}
              most={gpu.total_bytes}
              gapMs={GAP_MS}
              label={wordsOf(gpu, usedBytes(samples, at, gpu.total_bytes))}
            />
          ),
      )}
    </span>
  );
}

function usedBytes(samples: readonly MemorySample[], gpu: number, totalBytes: number) {
  return samples.map(({ at, free_bytes }) => {
    const free = free_bytes[gpu] ?? null;
    return { at: Date.parse(at), value: free === null ? null : totalBytes - free };
  });
}

function wordsOf(gpu: Gpu, points: readonly { value: number | null }[]): string {
  const known = points.flatMap(({ value }) => (value === null ? [] : [value]));
  if (known.length === 0) return say.gpuLineUnknown(gpu.name);
  const [least, most] = [Math.min(...known), Math.max(...known)];
  return say.gpuLine(gpu.name, format.memory(least), format.memory(most), format.memory(known.at(-1) ?? 0));
}
