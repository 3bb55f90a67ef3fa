import { useRef, useState } from "preact/hooks";

import { onEscape, useUniqueId } from "./hooks";
import type { Host } from "./host";
import { Sliders } from "./icons";
import { Later } from "./laterpart";
import type { Looks } from "./look";
import * as say from "./strings";

/**
 * Which columns a table shows, and how dense; it opens in the line of tools, so that nothing is covered.
 */
export function LookMenu<Row>({ look, table, host }: { look: Looks<Row>; table: string; host: Host }) {
  const [open, setOpen] = useState(false);
  const id = useUniqueId();
  const opener = useRef<HTMLButtonElement>(null);
  const onKeyDown = onEscape(() => {
    setOpen(false);
    opener.current?.focus();
  });
  return (
    <>
      <button
        type="button"
        class="mw-button mw-button-quiet"
        ref={opener}
        aria-expanded={open}
        aria-controls={open ? id : undefined}
        title={say.lookOf(table)}
        aria-label={say.lookOf(table)}
        onClick={() => setOpen(!open)}
        onKeyDown={onKeyDown}
      >
        <Sliders /> {say.columns}
      </button>
      {open && (
        <div class="mw-look" id={id} onKeyDown={onKeyDown}>
          <Later host={host} draw={({ LookChoices }) => <LookChoices look={look} />} />
        </div>
      )}
    </>
  );
}
