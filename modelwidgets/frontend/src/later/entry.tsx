import { useEffect, useRef, useState } from "preact/hooks";

import { type FormProps, useFocusBack } from "../entry";
import * as format from "../format";
import { useCommand, useLost, useUniqueId } from "../hooks";
import type { Host } from "../host";
import { Button, CommandButton, ErrorText } from "../parts";
import type { CatalogModel } from "../records";
import * as say from "../strings";
import { Confirmation } from "./confirmation";
import { Field, Submit } from "./parts";

/** What can be done with an entry of the user's own: change it, ask again for it, remove it. */
export function OwnEntry({ model, ...props }: FormProps & { model: CatalogModel }) {
  const { host } = props;
  const [shows, setShows] = useState<"edit" | "remove" | null>(null);
  const place = useFocusBack(shows !== null);
  const close = () => setShows(null);
  const { name } = model;
  if (shows === "edit") {
    return (
      <div class="mw-own">
        <EntryForm {...props} entry={model} category={null} onSubmitted={close} onCancel={close}>
          {{ submit: say.save, busy: say.saving, cancel: say.cancel }}
        </EntryForm>
      </div>
    );
  }
  if (shows === "remove") return <Removal name={name} host={host} onClose={close} />;
  return (
    <div class="mw-own" ref={place}>
      {model.unchecked && <p class="mw-warn">{say.unchecked}</p>}
      <div class="mw-actions">
        {model.unchecked && (
          <CommandButton
            host={host}
            method="edit_entry"
            params={{ name }}
            label={say.checkAgain}
            spoken={`${say.checkAgain}: ${format.name(name)}`}
            busyLabel={say.lookingUp}
          />
        )}
        <Button label={`${say.editEntry}: ${format.name(name)}`} onClick={() => setShows("edit")}>
          {say.editEntry}
        </Button>
        <Button label={`${say.removeEntry}: ${format.name(name)}`} onClick={() => setShows("remove")}>
          {say.removeEntry}
        </Button>
      </div>
    </div>
  );
}

/** Asks once before an entry is removed, and says that this deletes nothing. */
function Removal({ name, host, onClose }: { name: string; host: Host; onClose: () => void }) {
  const command = useCommand(host);
  const lost = useLost(host);
  return (
    <Confirmation
      label={say.confirmRemove(format.name(name))}
      command={command}
      off={lost}
      yes={say.removeName(format.name(name))}
      busy={say.removing}
      onYes={() => command.run("remove_entry", { name })}
      onNo={onClose}
    >
      <p class="mw-text">{say.removes(format.name(name))}</p>
    </Confirmation>
  );
}

/** Name, description and category; the registry is asked before anything is kept. */
export function EntryForm(
  props: FormProps & {
    entry?: CatalogModel;
    /** Chosen at first. */
    category: string | null;
    onSubmitted: (entry: CatalogModel) => void;
    onCancel: () => void;
    children: { submit: string; busy: string; cancel: string };
  },
) {
  const { categories, host, onFind, entry, onSubmitted, onCancel, children: words } = props;
  const all = entry && !categories.includes(entry.category) ? [entry.category, ...categories] : categories;
  const [typed, setTyped] = useState({
    name: entry?.name ?? "",
    description: entry?.description ?? "",
    category: entry?.category ?? props.category ?? all[0] ?? "",
  });
  const command = useCommand(host);
  const lost = useLost(host);
  const form = useRef<HTMLFormElement>(null);
  const id = useUniqueId();
  useEffect(() => form.current?.querySelector("input")?.focus(), []);
  const [name, description] = [typed.name.trim(), typed.description.trim()];
  const ready = name !== "" && !command.busy && !lost;
  const submit = async (event: Event) => {
    event.preventDefault();
    if (!ready) return;
    const { category } = typed;
    const answer = entry
      ? await command.run("edit_entry", { name: entry.name, new_name: name, description, category })
      : await command.run("add_entry", { name, description, category });
    if (answer && "value" in answer) onSubmitted(answer.value);
  };
  return (
    <form class="mw-form mw-entry" aria-label={entry ? say.editEntry : say.addEntry} onSubmit={submit} ref={form}>
      <Field
        label={say.entryName}
        example={say.entryNameExample}
        help={say.entryNameHelp}
        value={typed.name}
        wide
        onInput={(value) => setTyped({ ...typed, name: value })}
      />
      <Field
        label={say.entryDescription}
        example={say.entryDescriptionExample}
        help={say.entryDescriptionHelp}
        value={typed.description}
        wide
        most={LONGEST_DESCRIPTION}
        onInput={(value) => setTyped({ ...typed, description: value })}
      />
      <span class="mw-field">
        <label for={id}>{say.entryCategory}</label>
        <select
          id={id}
          class="mw-input"
          value={typed.category}
          onChange={(event) => setTyped({ ...typed, category: event.currentTarget.value })}
        >
          {all.map((one) => (
            <option key={one} value={one}>
              {one}
            </option>
          ))}
        </select>
        <small class="mw-muted">{say.entryCategoryHelp}</small>
      </span>
      <span class="mw-actions mw-form-end">
        <Submit ready={ready} title={lost?.reason}>
          {command.busy ? words.busy : words.submit}
        </Submit>
        <Button onClick={onCancel}>{words.cancel}</Button>
      </span>
      <ErrorText error={command.error}>
        {command.error?.kind === "KnownEntryError" && (
          <Button onClick={() => onFind(name)}>{say.showName(format.name(name))}</Button>
        )}
      </ErrorText>
    </form>
  );
}

const LONGEST_DESCRIPTION = 200;
