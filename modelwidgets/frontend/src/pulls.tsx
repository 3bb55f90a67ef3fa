import type { ComponentChildren } from "preact";

import * as format from "./format";
import { isActive, useSlice } from "./hooks";
import type { Host } from "./host";
import { Button, Empty } from "./parts";
import { PullRow } from "./pull";
import type { PullProgress } from "./records";
import * as say from "./strings";

/** All pulls, the newest request last in the queue and first among the ended ones. */
export function Pulls({ host, onBrowse }: { host: Host; onBrowse?: (() => void) | undefined }) {
  const pulls = useSlice(host, "pulls");
  if (pulls.length === 0) {
    return (
      <Empty text={say.noPulls}>
        {onBrowse && <Button onClick={onBrowse}>{say.browseCatalog}</Button>}
      </Empty>
    );
  }
  return (
    <>
      <PullList pulls={inOrder(pulls)} host={host} />
      <Totals pulls={pulls} />
    </>
  );
}

/** The one pull whose id is `only`. */
export function OnePull({ host, only }: { host: Host; only: string }) {
  const pull = useSlice(host, "pulls").find((one) => one.id === only);
  if (pull) return <PullList pulls={[pull]} host={host} />;
  return <Empty text={host.connection === "opening" ? say.loading : say.pullGone} />;
}

const STRIP = 3;

/** The pulls under way, below whatever else is shown. */
export function PullStrip({ host, onMore }: { host: Host; onMore: () => void }) {
  const active = inOrder(useSlice(host, "pulls")).filter(isActive);
  if (active.length === 0) return null;
  const rest = active.length - STRIP;
  return (
    <section class="mw-strip" aria-label={say.pulls}>
      <PullList pulls={active.slice(0, STRIP)} host={host} />
      <Totals pulls={active}>
        {rest > 0 && (
          <Button kind="quiet" onClick={onMore}>
            {say.showAllPulls(rest)}
          </Button>
        )}
      </Totals>
    </section>
  );
}

function PullList({ pulls, host }: { pulls: readonly PullProgress[]; host: Host }) {
  return (
    <ul class="mw-pulls">
      {pulls.map((pull) => (
        <PullRow key={pull.id} pull={pull} host={host} />
      ))}
    </ul>
  );
}

/** How much all pulls together still have to fetch. */
function Totals({ pulls, children }: { pulls: readonly PullProgress[]; children?: ComponentChildren }) {
  const line = totalsOf(pulls);
  return line || children ? (
    <p class="mw-line mw-muted">
      <span>{line}</span>
      {children}
    </p>
  ) : null;
}

export function totalsOf(pulls: readonly PullProgress[]): string {
  const active = pulls.filter(isActive);
  if (active.length < 2) return "";
  const running = active.filter((pull) => pull.state === "running");
  const leftBytes = active.reduce(
    (sum, pull) => sum + Math.max((pull.total_bytes ?? 0) - pull.completed_bytes, 0),
    0,
  );
  const bytesPerSecond = running.reduce((sum, pull) => sum + (pull.bytes_per_second ?? 0), 0);
  const allKnown = active.every((pull) => pull.total_bytes !== null);
  return [
    say.totals(running.length, active.length - running.length),
    leftBytes > 0 && say.bytesLeft(format.disk(leftBytes)),
    allKnown && bytesPerSecond > 0 && say.inAll(format.duration(leftBytes / bytesPerSecond)),
  ]
    .filter(Boolean)
    .join(" · ");
}

/** Running first, then the queue, then what has ended, the latest first. */
export function inOrder(pulls: readonly PullProgress[]): PullProgress[] {
  const group = (pull: PullProgress) => (pull.state === "running" ? 0 : pull.state === "queued" ? 1 : 2);
  const within = (one: PullProgress, other: PullProgress) => {
    if (group(one) === 2)
      return Date.parse(other.ended_at ?? other.created_at) - Date.parse(one.ended_at ?? one.created_at);
    return (
      (one.position ?? 0) - (other.position ?? 0) || Date.parse(one.created_at) - Date.parse(other.created_at)
    );
  };
  return pulls.toSorted((one, other) => group(one) - group(other) || within(one, other));
}
