import type { ComponentChildren } from "preact";

import type { Calls, Host, Method, Off } from "./host";
import * as format from "./format";
import { useCommand, useLost } from "./hooks";

/** What all our buttons share. */
export interface ButtonLook {
  kind?: "plain" | "main" | "danger" | "quiet";
  /** Why it cannot be used now; it stays focusable so that this can be read. */
  off?: Off | null;
  title?: string;
  tabIndex?: number;
}

/**
 * A button. The second click of a double click is ignored: what it would hit is often another button
 * that has just taken the place of the first (Stop, then Resume).
 */
export function Button(
  props: ButtonLook & {
    busy?: boolean;
    label?: string;
    expanded?: boolean;
    onClick: (button: HTMLElement) => void;
    children: ComponentChildren;
  },
) {
  const { kind = "plain", off, busy = false, title, tabIndex, label, expanded, onClick, children } = props;
  const idle = !off && !busy;
  return (
    <button
      type="button"
      class={`mw-button mw-button-${kind}`}
      aria-disabled={idle ? undefined : true}
      aria-busy={busy ? true : undefined}
      aria-label={label}
      aria-expanded={expanded}
      title={off?.reason ?? title ?? label}
      tabIndex={tabIndex}
      onClick={(event) => idle && event.detail < 2 && onClick(event.currentTarget)}
    >
      {children}
    </button>
  );
}

/** A button that sends one call and shows beside itself why it failed. */
export function CommandButton<M extends Method>(
  props: ButtonLook & {
    host: Host;
    method: M;
    params: Calls[M]["params"];
    label: ComponentChildren;
    /** Instead of `label` while the call is under way. */
    busyLabel?: ComponentChildren;
    /** Read out instead of `label`, where that is no text or too short out of its place. */
    spoken?: string;
    /** Its error is shown elsewhere. */
    silent?: boolean;
    onDone?: () => void;
  },
) {
  const { host, method, params, label, busyLabel, spoken, silent, onDone, off, ...look } = props;
  const command = useCommand(host);
  const lost = useLost(host);
  const run = async () => {
    const answer = await command.run(method, params);
    if (answer && "value" in answer) onDone?.();
  };
  return (
    <>
      <Button
        {...look}
        off={off ?? lost}
        busy={command.busy}
        onClick={run}
        {...(spoken ? { label: spoken } : {})}
      >
        {command.busy ? (busyLabel ?? label) : label}
      </Button>
      {!silent && <ErrorText error={command.error} />}
    </>
  );
}

/** A message, of which nothing reorders or hides a part; what stands between backticks is shown as code. */
export function Sentence({ text }: { text: string }) {
  const parts = text.split(/`([^`]+)`/);
  return (
    <span class="mw-text">
      {parts.map((part, at) => (at % 2 ? <code key={at}>{format.name(part)}</code> : format.prose(part)))}
    </span>
  );
}

/** An error in whole, read out at once. */
export function ErrorText({
  error,
  children,
}: {
  error: { message: string } | null;
  children?: ComponentChildren;
}) {
  if (!error) return null;
  return (
    <div class="mw-error" role="alert">
      <Sentence text={error.message} />
      {children}
    </div>
  );
}

export function Badge({
  children,
  tone,
  title,
}: {
  children: ComponentChildren;
  tone?: "ok" | "warn" | "bad";
  title?: string;
}) {
  return (
    <span class={`mw-badge${tone ? ` mw-${tone}` : ""}`} title={title}>
      {children}
    </span>
  );
}

/** The name of a model; where it is too long for its place, the tooltip has the rest. */
export function Name({ name, code = true }: { name: string; code?: boolean }) {
  const shown = format.name(name);
  const slash = Math.max(shown.lastIndexOf("/"), 0);
  return (
    <span class={`mw-name${code ? " mw-mono" : ""}`} title={shown}>
      {slash > 0 && <span>{shown.slice(0, slash)}</span>}
      <span>{shown.slice(slash)}</span>
    </span>
  );
}

/** How much of something is used; the words beside it say the same. */
export function Meter({ used }: { used: number }) {
  return (
    <span class="mw-meter" aria-hidden="true">
      <i style={{ width: `${Math.min(Math.max(used, 0), 1) * 100}%` }} />
    </span>
  );
}

/** Something long behind its title. */
export function Fold({ title, children }: { title: ComponentChildren; children: ComponentChildren }) {
  return (
    <details class="mw-fold">
      <summary>{title}</summary>
      {children}
    </details>
  );
}

/** A link, if the address is one that a link may have. */
export function Link({ href, children }: { href: string; children: ComponentChildren }) {
  if (!/^https?:\/\//i.test(href)) return <>{children}</>;
  return (
    <a href={href} target="_blank" rel="noopener noreferrer">
      {children}
    </a>
  );
}

/** A state in words with its next steps. */
export function Empty({ text, hint, children }: { text: string; hint?: string; children?: ComponentChildren }) {
  return (
    <div class="mw-empty">
      <p>{text}</p>
      {children && <div class="mw-actions">{children}</div>}
      {hint && (
        <p>
          <Sentence text={hint} />
        </p>
      )}
    </div>
  );
}
