import { useEffect, useRef, useState } from "preact/hooks";

import * as format from "./format";
import { useSlice } from "./hooks";
import type { Host } from "./host";
import { stateOf } from "./pull";
import type { Notice, PullProgress } from "./records";
import * as say from "./strings";

interface Seen {
  notices: readonly Notice[];
  pulls: readonly PullProgress[];
}

/** Says once to screen readers what is new: notices, and the milestones of pulls. */
export function Announcer({ host }: { host: Host }) {
  const notices = useSlice(host, "notices");
  const pulls = useSlice(host, "pulls");
  const seen = useRef<Seen | null>(null);
  const [text, setText] = useState("");
  useEffect(() => {
    const now = { notices, pulls };
    const news = seen.current ? newsOf(seen.current, now) : [];
    seen.current = now;
    if (news.length > 0) setText(news.join(". "));
  }, [notices, pulls]);
  return (
    <div class="mw-spoken" role="log" aria-live="polite">
      {text}
    </div>
  );
}

/** What is worth saying after a change. */
export function newsOf(before: Seen, now: Seen): string[] {
  const known = new Set(before.notices.map(({ id }) => id));
  const pulls = new Map(before.pulls.map((pull) => [pull.id, pull]));
  return [
    ...now.notices.filter(({ id }) => !known.has(id)).map(({ text }) => format.plain(text)),
    ...now.pulls.flatMap((pull) => pullNews(pulls.get(pull.id), pull)),
  ];
}

/** Trouble and its end, verifying, and each quarter; start and end come as notices. */
function pullNews(before: PullProgress | undefined, now: PullProgress): string[] {
  if (!before || before === now || now.state !== "running") return [];
  const [was, is] = [quarterOf(before), quarterOf(now)];
  const told = now.phase !== before.phase && TOLD.has(now.phase);
  if (told || (is > was && is < 4)) return [say.pullSays(format.name(now.name), stateOf(now))];
  return [];
}

const TOLD = new Set(["stalled", "retrying", "verifying"]);

function quarterOf(pull: PullProgress): number {
  return pull.total_bytes ? Math.floor((pull.completed_bytes / pull.total_bytes) * 4) : 0;
}
