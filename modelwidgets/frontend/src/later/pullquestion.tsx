import * as format from "../format";
import { useOff, useSlice } from "../hooks";
import type { Host } from "../host";
import type { Devices, FitMark } from "../records";
import * as say from "../strings";
import { Confirmation } from "./confirmation";

export interface Misfit {
  name: string;
  fit: FitMark;
}

/** Asks once before models are pulled that would not fit into the memory of this machine. */
export function PullQuestion(props: {
  misfits: readonly Misfit[];
  host: Host;
  onYes: () => void;
  onNo: () => void;
}) {
  const { misfits, host, onYes, onNo } = props;
  const off = useOff(host);
  const devices = useSlice(host, "devices");
  return (
    <Confirmation
      label={say.confirmPull(format.list(misfits.map(({ name }) => format.name(name))))}
      command={{ busy: false, error: null }}
      off={off}
      yes={say.pullAllTheSame}
      busy={say.pulling}
      onYes={onYes}
      onNo={onNo}
    >
      {misfits.map(({ name, fit }) => (
        <p key={name} class="mw-text">
          {whyNot(name, fit, devices)}
        </p>
      ))}
    </Confirmation>
  );
}

export function whyNot(name: string, { needed_bytes }: FitMark, devices: Devices | null): string {
  const gpus = (devices?.gpus ?? []).reduce((sum, { free_bytes }) => sum + (free_bytes ?? 0), 0);
  return say.fitStops(
    format.name(name),
    needed_bytes === null ? say.unknown : format.memory(needed_bytes),
    gpus > 0 ? say.fitGpuFree(format.memory(gpus)) : "",
    devices ? say.fitRam(format.memory(devices.ram_available_bytes)) : say.unknown,
  );
}
