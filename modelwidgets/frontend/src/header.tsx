import * as format from "./format";
import { GpuLines } from "./gpuline";
import { useLost, useSlice } from "./hooks";
import type { Host } from "./host";
import { Refresh } from "./icons";
import { CommandButton, Meter } from "./parts";
import type { Devices, Gpu, ServiceState, ServiceStatus } from "./records";
import * as say from "./strings";

/** The line above all tabs: the server, the machine, and how old the list is. */
export function Header({ host, slim = false }: { host: Host; slim?: boolean }) {
  const service = useSlice(host, "service");
  const devices = useSlice(host, "devices");
  const installed = useSlice(host, "installed");
  const stale = useLost(host)?.reason ?? installed.stale;
  const { as_of } = installed;
  return (
    <div class="mw-header">
      <div class="mw-now">
        {as_of !== null && (
          <time
            class={stale === null ? "mw-muted" : "mw-warn"}
            dateTime={as_of}
            title={stale ?? say.updatedAt(format.date(as_of))}
          >
            {stale === null ? format.time(as_of) : say.asOf(format.time(as_of))}
          </time>
        )}
        <CommandButton
          host={host}
          method="refresh"
          params={{}}
          label={<Refresh />}
          busyLabel={
            <span class="mw-spin">
              <Refresh />
            </span>
          }
          spoken={say.refresh}
          kind="quiet"
        />
      </div>
      <div class="mw-about">
        <Service service={service} />
        {!slim && service && !service.local && <span class="mw-muted mw-remote">{say.remoteMachine}</span>}
        {!slim && service?.local !== false && devices && <Machine devices={devices} host={host} />}
      </div>
    </div>
  );
}

/** Why the service is not simply running, in a word or two. */
const FINER: Record<ServiceState, string> = {
  running: "",
  starting: say.starting,
  stopped: say.notStarted,
  hung: say.hung,
  unreachable: say.unreachable,
  foreign: say.foreign,
};

function Service({ service }: { service: ServiceStatus | null }) {
  if (service === null) {
    return (
      <span class="mw-service">
        <i class="mw-dot" aria-hidden="true" />
        <span class="mw-muted">{say.lookingForServer}</span>
      </span>
    );
  }
  const runs = service.state === "running";
  const finer = FINER[service.state];
  return (
    <span class="mw-service" title={service.url}>
      <i
        class={`mw-dot mw-dot-${runs ? "ok" : service.state === "starting" ? "warn" : "bad"}`}
        aria-hidden="true"
      />
      <b>{runs ? say.running : say.stopped}</b>
      {finer && <span class="mw-muted">{finer}</span>}
      {(runs || service.kind !== "unknown") && <span>{softwareOf(service)}</span>}
      <span class="mw-muted">{hostOf(service.url)}</span>
    </span>
  );
}

/** `Ollama 0.33.0`, `Embedded store 0.33.0`. */
function softwareOf({ kind, version }: ServiceStatus): string {
  const name = { ollama: say.ollama, embedded: say.embedded, unknown: say.server }[kind];
  return version === null ? name : `${name} ${version}`;
}

/** The address without what all addresses have. */
export function hostOf(url: string): string {
  return url.replace(/^https?:\/\//, "").replace(/\/$/, "");
}

/** The GPUs as one meter; without one the reason, and the RAM instead. */
function Machine({ devices, host }: { devices: Devices; host: Host }) {
  const { gpus, reason, ram_total_bytes, ram_available_bytes } = devices;
  const why = format.plain(reason ?? say.noGpu);
  const total = sum(gpus, "total_bytes");
  const free = sum(gpus, "free_bytes");
  const assumed = gpus.some((gpu) => gpu.assumed);
  if (gpus.length === 0) {
    return (
      <span class="mw-fact">
        <span class="mw-reason" title={why}>
          {reason ? say.noGpuBecause(why) : why}
        </span>
        <span>
          {say.ram}
          <Meter used={1 - ram_available_bytes / ram_total_bytes} />
          <span class="mw-muted">{freeOf(ram_available_bytes, ram_total_bytes, false)}</span>
        </span>
      </span>
    );
  }
  return (
    <span class="mw-fact" title={gpus.map(gpuLine).join("\n")}>
      <span class="mw-ellipsis">{gpuNames(gpus)}</span>
      {total !== null && free !== null ? (
        <span>
          <Meter used={1 - free / total} />
          <span class="mw-muted">{freeOf(free, total, assumed)}</span>
        </span>
      ) : (
        <span class="mw-muted">{say.gpuUnknown}</span>
      )}
      <GpuLines gpus={gpus} host={host} />
    </span>
  );
}

/** `16.8 of 24.0 GiB free`; "about" where the total is a rule of thumb. */
function freeOf(freeBytes: number, totalBytes: number, assumed: boolean): string {
  const words = say.gpuFree(format.memoryOf(freeBytes, totalBytes));
  return assumed ? say.about(words) : words;
}

/** A sum over all GPUs; null where one of them does not tell. */
function sum(gpus: readonly Gpu[], key: "total_bytes" | "free_bytes"): number | null {
  return gpus.reduce<number | null>((all, gpu) => {
    const bytes = gpu[key];
    return all === null || bytes === null ? null : all + bytes;
  }, 0);
}

function gpuNames(gpus: readonly Gpu[]): string {
  const names = [...new Set(gpus.map((gpu) => shortGpu(gpu.name)))];
  if (names.length > 1) return say.gpus(gpus.length);
  const name = names[0] as string;
  return gpus.length > 1 ? say.gpuSum(gpus.length, name) : name;
}

/** `RTX 4090` of `NVIDIA GeForce RTX 4090`; the whole name stands in the tooltip. */
export function shortGpu(name: string): string {
  return name.replace(/^(NVIDIA|AMD|Intel(\(R\))?)\s+/i, "").replace(/^(GeForce|Radeon)\s+(?=R[TX])/i, "");
}

function gpuLine({ name, total_bytes, free_bytes, error, assumed }: Gpu): string {
  const known = total_bytes !== null && free_bytes !== null;
  return `${name}: ${known ? freeOf(free_bytes, total_bytes, assumed) : format.plain(error ?? say.gpuUnknown)}`;
}
