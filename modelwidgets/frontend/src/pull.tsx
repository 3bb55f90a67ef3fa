import type { ComponentChildren } from "preact";

import * as format from "./format";
import { isActive, useConnection, useOff } from "./hooks";
import type { CallError, Host } from "./host";
import { memo } from "./memo";
import { CommandButton, ErrorText, Name, Sentence } from "./parts";
import type { PullPhase, PullProgress } from "./records";
import { SpeedLine } from "./speed";
import * as say from "./strings";

export type Tone = "live" | "wait" | "warn" | "bad" | "ok";

const PHASES: Record<PullPhase, string> = {
  queued: say.queued,
  checking: say.checking,
  manifest: say.manifest,
  downloading: say.downloading,
  stalled: say.stalled,
  retrying: say.retrying,
  verifying: say.verifying,
  writing: say.writing,
  done: say.done,
};

/** How much of a pull is done, in words; null while the total is unknown. */
export function percentOf(pull: PullProgress): string | null {
  return pull.total_bytes === null ? null : format.percent(pull.completed_bytes, pull.total_bytes);
}

/** What goes on with a pull: its state first, then what is known of bytes and time. */
export function lineOf(pull: PullProgress): string {
  return [stateOf(pull), ...numbersOf(pull), pull.owner && say.elsewhere(format.name(pull.owner))]
    .filter(Boolean)
    .join(" · ");
}

/** The state alone, with the percent where it has one. */
export function stateOf(pull: PullProgress): string {
  const percent = percentOf(pull);
  const at = (state: string) => (percent === null ? state : say.at(state, percent));
  switch (pull.state) {
    case "queued":
      return pull.position === null ? say.queued : say.inLine(pull.position);
    case "done":
      return say.done;
    case "failed":
      return at(say.failed);
    case "cancelled":
      return at(say.stoppedPull);
    case "interrupted":
      return at(say.interrupted);
    case "running":
      return [phaseOf(pull), percent].filter(Boolean).join(isAmiss(pull) ? " · " : " ");
  }
}

/** The server's own words where something is amiss, else the name of the phase. */
function phaseOf(pull: PullProgress): string {
  return (isAmiss(pull) && pull.status) || PHASES[pull.phase];
}

function isAmiss(pull: PullProgress): boolean {
  return pull.phase === "stalled" || pull.phase === "retrying";
}

function numbersOf(pull: PullProgress): string[] {
  const { state, total_bytes, completed_bytes, bytes_per_second, eta_seconds } = pull;
  if (state === "done") return [total_bytes === null ? "" : format.disk(total_bytes), pull.proof ?? ""];
  if (total_bytes === null) return completed_bytes > 0 ? [say.soFar(format.disk(completed_bytes))] : [];
  if (state === "queued" && completed_bytes === 0) return [format.disk(total_bytes)];
  const numbers = [format.diskOf(completed_bytes, total_bytes)];
  if (state === "running" && pull.phase === "downloading") {
    if (bytes_per_second !== null) numbers.push(format.speed(bytes_per_second));
    if (eta_seconds !== null) numbers.push(say.left(format.duration(eta_seconds)));
  }
  return numbers;
}

export function toneOf(pull: PullProgress): Tone {
  if (pull.state === "failed") return "bad";
  if (pull.state === "done") return "ok";
  if (pull.state !== "running") return "wait";
  return isAmiss(pull) ? "warn" : "live";
}

/** The bar of a pull; without a total it only shows that something goes on. */
export function Bar({ pull }: { pull: PullProgress }) {
  const { total_bytes, completed_bytes, state } = pull;
  const known = total_bytes !== null;
  const share =
    known && total_bytes > 0 ? Math.min(completed_bytes / total_bytes, 1) : state === "done" ? 1 : 0;
  const unsure = !known && state === "running";
  return (
    <div
      class={`mw-bar mw-bar-${toneOf(pull)}${unsure ? " mw-bar-unsure" : ""}`}
      role="progressbar"
      aria-label={say.progressOf(format.name(pull.name))}
      aria-valuemin={0}
      aria-valuetext={lineOf(pull)}
      {...(known ? { "aria-valuemax": total_bytes, "aria-valuenow": completed_bytes } : {})}
    >
      <i style={unsure ? {} : { transform: `scaleX(${share})` }} />
    </div>
  );
}

/** One pull: name, bar, words, and what can be done about it. Drawn again only when it changes. */
export const PullRow = memo(function PullRow({ pull, host }: { pull: PullProgress; host: Host }) {
  return (
    <li class="mw-pull" data-pull={pull.id}>
      <Name name={pull.name} />
      <Bar pull={pull} />
      <span class="mw-pull-actions">
        <PullActions pull={pull} host={host} />
      </span>
      <span class={`mw-pull-line mw-${toneOf(pull)}`} title={pull.status}>
        {lineOf(pull)}
        <SpeedLine pull={pull} host={host} />
      </span>
      {pull.error && (
        <div class="mw-pull-error mw-error">
          <Sentence text={pull.error} />
        </div>
      )}
    </li>
  );
});

/** Stop; or Resume, Retry, Pull anyway, and Dismiss. */
export function PullActions({
  pull,
  host,
  short = false,
}: {
  pull: PullProgress;
  host: Host;
  short?: boolean;
}) {
  const off = useOff(host);
  const { id, state } = pull;
  const name = format.name(pull.name);
  if (isActive(pull)) return <Stop pull={pull} host={host} />;
  const retry = (label: string, force?: true) => (
    <CommandButton
      host={host}
      method="retry"
      params={force ? { id, force } : { id }}
      label={label}
      spoken={`${label}: ${name}`}
      off={off}
      busyLabel={say.pulling}
    />
  );
  return (
    <>
      {state === "failed" && pull.error_kind === NO_SPACE && retry(say.pullAnyway, true)}
      {state === "failed" && retry(say.retry)}
      {(state === "cancelled" || state === "interrupted") && retry(say.resume)}
      {!short && (
        <CommandButton
          host={host}
          method="dismiss"
          params={{ id }}
          label={say.dismiss}
          spoken={`${say.dismiss}: ${name}`}
          kind="quiet"
        />
      )}
    </>
  );
}

const NO_SPACE = "NotEnoughSpaceError";

function Stop({ pull, host }: { pull: PullProgress; host: Host }) {
  const later = useConnection(host) === "waiting";
  return (
    <CommandButton
      host={host}
      method="stop"
      params={{ id: pull.id }}
      label={say.stop}
      spoken={`${say.stop}: ${format.name(pull.name)}`}
      busyLabel={
        <>
          {say.stopping} {later && <span class="mw-muted">{say.stopsLater}</span>}
        </>
      }
    />
  );
}

/** Why a pull could not start; where the disk is too small, with the way to start it all the same. */
export function PullError(props: {
  error: CallError | null;
  name: string;
  host: Host;
  onDone?: () => void;
  children?: ComponentChildren;
}) {
  const { error, name, host, onDone, children } = props;
  return (
    <ErrorText error={error}>
      {error?.kind === NO_SPACE && (
        <CommandButton
          host={host}
          method="pull"
          params={{ name, force: true }}
          label={say.pullAnyway}
          busyLabel={say.pulling}
          {...(onDone ? { onDone } : {})}
        />
      )}
      {children}
    </ErrorText>
  );
}
