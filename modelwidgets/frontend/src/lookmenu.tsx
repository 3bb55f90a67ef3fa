import { useRef, useState } from "preact/hooks";

import { onEscape, useUniqueId } from "./hooks";
import { Sliders } from "./icons";
import { type Looks, isShown } from "./look";
import { Button } from "./parts";
import * as say from "./strings";

/**
 * Which columns a table shows, and how dense; it opens in the line of tools, so that nothing is covered.
 */
export function LookMenu<Row>({ look, table }: { look: Looks<Row>; table: string }) {
  const [open, setOpen] = useState(false);
  const id = useUniqueId();
  const opener = useRef<HTMLButtonElement>(null);
  const onKeyDown = onEscape(() => {
    setOpen(false);
    opener.current?.focus();
  });
  const choices = look.all.slice(1).filter(({ quiet }) => !quiet);
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
          <fieldset>
            <legend>{say.columns}</legend>
            {choices.map((column) => (
              <label key={column.id}>
                <input
                  type="checkbox"
                  checked={isShown(column, look)}
                  onChange={({ currentTarget: { checked } }) =>
                    look.change({ columns: { ...look.columns, [column.id]: checked } })
                  }
                />
                {column.title}
              </label>
            ))}
          </fieldset>
          <fieldset>
            <legend>{say.rows}</legend>
            {[false, true].map((compact) => (
              <label key={String(compact)}>
                <input
                  type="radio"
                  name={`${id}-rows`}
                  checked={look.compact === compact}
                  onChange={() => look.change({ compact })}
                />
                {compact ? say.compactRows : say.comfortableRows}
              </label>
            ))}
          </fieldset>
          {look.reset && (
            <Button kind="quiet" onClick={look.reset}>
              {say.resetLook}
            </Button>
          )}
        </div>
      )}
    </>
  );
}
