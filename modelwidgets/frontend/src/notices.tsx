import { useState } from "preact/hooks";

import * as format from "./format";
import { useSlice } from "./hooks";
import type { Host, Method } from "./host";
import { Cross } from "./icons";
import { Button, CommandButton, Sentence } from "./parts";
import type { Notice, PullProgress } from "./records";
import * as say from "./strings";

const KINDS: Record<Notice["kind"], string> = {
  success: say.success,
  info: say.info,
  warning: say.warning,
  error: say.error,
};
/** Shown at once; older ones come on request. */
const AT_ONCE = 3;

/**
 * What the user should know, the latest first, each with its next steps; `apart` from what the pulls below
 * say themselves.
 */
export function Notices({ host, apart }: { host: Host; apart: boolean }) {
  const pulls = apart ? host.get("pulls") : [];
  const notices = useSlice(host, "notices").filter((notice) => !pulls.some((pull) => isAbout(notice, pull)));
  const [all, setAll] = useState(false);
  if (notices.length === 0) return null;
  const latest = notices.toSorted((one, other) => Date.parse(other.at) - Date.parse(one.at));
  const rest = latest.length - AT_ONCE;
  return (
    <ul aria-label={say.notices}>
      {latest.slice(0, all ? undefined : AT_ONCE).map((notice) => (
        <Line key={notice.id} notice={notice} host={host} />
      ))}
      {!all && rest > 0 && (
        <li class="mw-banner">
          <Button kind="quiet" onClick={() => setAll(true)}>
            {say.moreNotices(rest)}
          </Button>
        </li>
      )}
    </ul>
  );
}

/** Whether a notice tells how a pull goes. */
export function isAbout(notice: Notice, pull: PullProgress): boolean {
  return notice.id.startsWith(`${pull.id}/`);
}

function Line({ notice, host }: { notice: Notice; host: Host }) {
  return (
    <li class={`mw-banner mw-banner-${notice.kind}`}>
      <span class="mw-spoken">{`${KINDS[notice.kind]}: `}</span>
      <Sentence text={notice.text} />
      <span class="mw-actions">
        {notice.actions.map(({ label, method, params }) => (
          <CommandButton
            key={label}
            host={host}
            method={method as Method}
            params={params as never}
            label={label}
          />
        ))}
        <CommandButton
          host={host}
          method="dismiss_notice"
          params={{ id: notice.id }}
          label={<Cross />}
          spoken={`${say.dismiss}: ${format.plain(notice.text)}`}
          kind="quiet"
        />
      </span>
    </li>
  );
}
