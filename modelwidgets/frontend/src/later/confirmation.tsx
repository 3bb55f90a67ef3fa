import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";

import type { CallState } from "../hooks";
import type { CallError, Off } from "../host";
import { Button, ErrorText } from "../parts";
import * as say from "../strings";

/** Says what something would do and asks once; it takes the focus, so that this is read out. */
export function Confirmation(props: {
  label: string;
  /** What the other side says of it before it can be done, where it is asked. */
  plan?: { value: unknown; error: CallError | null; again: () => void };
  command: CallState;
  off: Off | null;
  yes: string;
  /** Instead of `yes` while it is being done. */
  busy: string;
  onYes: () => void;
  onNo: () => void;
  onKeyDown?: (event: KeyboardEvent) => void;
  children: ComponentChildren;
}) {
  const { label, plan, command, off, yes, busy, onYes, onNo, onKeyDown, children } = props;
  const waits = plan !== undefined && !plan.value;
  const panel = useRef<HTMLDivElement>(null);
  useEffect(() => panel.current?.focus(), []);
  return (
    <div class="mw-deletion" role="group" aria-label={label} tabIndex={-1} ref={panel} onKeyDown={onKeyDown}>
      {children}
      {waits && !plan.error && <p class="mw-muted">{say.planning}</p>}
      <ErrorText error={plan?.error ?? null} />
      <ErrorText error={command.error} />
      <div class="mw-actions">
        {plan?.error ? (
          <Button onClick={plan.again}>{say.tryAgain}</Button>
        ) : (
          <Button kind="danger" busy={command.busy || waits} off={off} onClick={onYes}>
            {command.busy ? busy : yes}
          </Button>
        )}
        <Button onClick={onNo}>{say.cancel}</Button>
      </div>
    </div>
  );
}
