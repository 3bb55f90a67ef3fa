import type { RefObject } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import * as format from "./format";
import type { Host } from "./host";
import { Later } from "./laterpart";
import { Button } from "./parts";
import type { CatalogModel } from "./records";
import * as say from "./strings";

export interface FormProps {
  categories: readonly string[];
  host: Host;
  /** Search the catalog for a name that it has already. */
  onFind: (name: string) => void;
}

/** A button that opens the form for a model of the user's own; closed, it forgets what was typed. */
export function AddEntry(props: FormProps & { category: string | null }) {
  const [open, setOpen] = useState(false);
  const [added, setAdded] = useState<CatalogModel | null>(null);
  const [round, setRound] = useState(0);
  const place = useFocusBack(open);
  const done = (entry: CatalogModel) => {
    setAdded(entry);
    setRound(round + 1); // an empty form for the next one
  };
  const toggle = () => {
    setOpen(!open);
    setAdded(null);
  };
  return (
    <div class="mw-own" ref={place}>
      <Button expanded={open} onClick={toggle}>
        {say.addEntry}
      </Button>
      {open && (
        <Later
          host={props.host}
          draw={({ EntryForm }) => (
            <EntryForm {...props} key={round} onSubmitted={done} onCancel={toggle}>
              {{ submit: say.add, busy: say.adding, cancel: say.close }}
            </EntryForm>
          )}
        />
      )}
      {added && (
        <p class={added.unchecked ? "mw-warn" : "mw-ok"} role="status">
          {added.unchecked ? say.addedUnchecked(format.name(added.name)) : say.added(format.name(added.name))}
        </p>
      )}
    </div>
  );
}

/** Gives the focus to the first button here when a form closes, which would take it along. */
export function useFocusBack(open: boolean): RefObject<HTMLDivElement | null> {
  const place = useRef<HTMLDivElement>(null);
  const wasOpen = useRef(open);
  useEffect(() => {
    if (wasOpen.current && !open) place.current?.querySelector("button")?.focus();
    wasOpen.current = open;
  }, [open]);
  return place;
}
