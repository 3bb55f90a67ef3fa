import { useEffect, useState } from "preact/hooks";

import type { Host } from "./host";
import type { PullProgress } from "./records";
import { type Point, Spark } from "./spark";

const WINDOW_MS = 60_000;
const EVERY_MS = 1000;
/** A page that nobody sees notes nothing for a while. */
const GAP_MS = 3500;

type Speeds = Map<string, Point[]>;

/** How fast a pull was over the last minute; one that stands still lies on the ground. */
export function SpeedLine({ pull, host }: { pull: PullProgress; host: Host }) {
  const moving = isMoving(pull);
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    if (!moving) return undefined;
    const note = () => {
      const at = Date.now();
      noteSpeed(speedsOf(host), host.get("pulls"), pull.id, at);
      setNow(at);
    };
    note();
    const timer = setInterval(note, EVERY_MS);
    return () => clearInterval(timer);
  }, [host, pull.id, moving]);
  const points = speedsOf(host).get(pull.id) ?? [];
  if (!moving || points.length < 2) return null;
  const most = Math.max(...points.map(({ value }) => value ?? 0), 1);
  return <Spark points={points} fromMs={now - WINDOW_MS} toMs={now} most={most} gapMs={GAP_MS} />;
}

/** Remember the speed of a pull for a minute; pulls that are listed no longer are forgotten. */
export function noteSpeed(speeds: Speeds, pulls: readonly PullProgress[], id: string, at: number): void {
  for (const known of speeds.keys()) {
    if (!pulls.some((one) => one.id === known)) speeds.delete(known);
  }
  const pull = pulls.find((one) => one.id === id);
  const earlier = (speeds.get(id) ?? []).filter((point) => point.at > at - WINDOW_MS);
  const last = earlier.at(-1);
  // the same pull may stand on the page twice
  if (!pull || (last && at - last.at < EVERY_MS / 2)) return;
  speeds.set(id, [...earlier, { at, value: pull.bytes_per_second ?? (pull.phase === "stalled" ? 0 : null) }]);
}

function isMoving({ state, phase }: PullProgress): boolean {
  return state === "running" && (phase === "downloading" || phase === "stalled" || phase === "retrying");
}

/** Kept with the widget, so that a view that is drawn again has it too. */
function speedsOf(host: Host): Speeds {
  const known = host.memory.get("speeds") as Speeds | undefined;
  if (known) return known;
  const speeds: Speeds = new Map();
  host.memory.set("speeds", speeds);
  return speeds;
}
