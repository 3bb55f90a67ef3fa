/** The views that are drawn on request: fetched once, when first needed or in an idle moment before that. */
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";

import * as format from "./format";
import { asCallError, useConnection, useHost } from "./hooks";
import type { CallError, Host, LaterPart } from "./host";
import { Button, ErrorText } from "./parts";
import * as say from "./strings";

/** A view of the later part; until that is there its children, which tell what is known without it. */
export function Later(props: {
  host: Host;
  /** Whether there is something to draw; else nothing is fetched for it. */
  wanted?: boolean;
  draw: (part: LaterPart) => ComponentChildren;
  children?: ComponentChildren;
}) {
  const { host, wanted = true, draw, children } = props;
  const part = useLaterPart(host);
  if (part) return <>{draw(part)}</>;
  return wanted ? <Waiting host={host}>{children}</Waiting> : null;
}

export function useLaterPart(host: Host): LaterPart | null {
  return useHost(host, "later", () => host.later);
}

function Waiting({ host, children }: { host: Host; children: ComponentChildren }) {
  const connection = useConnection(host);
  const [error, setError] = useState<CallError | null>(null);
  const [attempt, setAttempt] = useState(0);
  const lost = connection === "lost";
  useEffect(() => {
    let wanted = true;
    setError(null);
    host.load().catch((thrown) => wanted && setError(asCallError(thrown)));
    return () => {
      wanted = false;
    };
  }, [host, lost, attempt]);
  return (
    <div class="mw-wait">
      {children}
      {error ? (
        <ErrorText error={error}>
          <Button onClick={() => setAttempt(attempt + 1)}>{say.tryAgain}</Button>
        </ErrorText>
      ) : (
        <p class="mw-muted">{say.loadingPart}</p>
      )}
    </div>
  );
}

/** Facts that the lists hold, title and text; those that are empty are left out. */
export function Known({ facts }: { facts: readonly (readonly [title: string, text: string])[] }) {
  return (
    <table class="mw-plain">
      <tbody>
        {facts.map(
          ([title, text]) =>
            text && (
              <tr key={title}>
                <th scope="row">{format.name(title)}</th>
                <td class="mw-text">{format.name(text)}</td>
              </tr>
            ),
        )}
      </tbody>
    </table>
  );
}

/** Fetches the later part once the page has been drawn and has nothing else to do. */
export function usePrefetch(host: Host, ready: boolean): void {
  useEffect(() => {
    if (!ready || host.later) return undefined;
    const fetch = () => void host.load().catch(() => {}); // who needs it asks again, and sees why
    if (!window.requestIdleCallback) {
      const timer = setTimeout(fetch, NO_IDLE_CALLBACK_MS); // Safari
      return () => clearTimeout(timer);
    }
    const idle = requestIdleCallback(fetch, { timeout: LONGEST_WAIT_MS });
    return () => cancelIdleCallback(idle);
  }, [host, ready]);
}

const NO_IDLE_CALLBACK_MS = 300;
const LONGEST_WAIT_MS = 5000;
