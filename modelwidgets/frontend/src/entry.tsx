import { useState } from "preact/hooks";

import { useCommand, useUniqueId } from "./hooks";
import type { Host } from "./host";
import { ErrorText, Field } from "./parts";
import { strings as say } from "./strings";

const BLANK = { name: "", description: "", category: "" };

/** Adds a model to the user's own part of the catalog. */
export function EntryForm({ categories, host }: { categories: readonly string[]; host: Host }) {
  const [entry, setEntry] = useState(BLANK);
  const [added, setAdded] = useState("");
  const command = useCommand(host);
  const id = useUniqueId();
  const name = entry.name.trim();
  const category = entry.category || categories[0] || "";
  const ready = name !== "" && !command.busy;
  const submit = async (event: Event) => {
    event.preventDefault();
    if (!ready) return;
    setAdded("");
    const answer = await command.run("add_entry", { name, description: entry.description.trim(), category });
    if (answer && "value" in answer) {
      setEntry(BLANK);
      setAdded(name);
    }
  };
  return (
    <form class="mw-form" onSubmit={submit}>
      <Field
        label={say.entryName}
        example={say.entryNameExample}
        value={entry.name}
        onInput={(value) => setEntry({ ...entry, name: value })}
      />
      <Field
        label={say.entryDescription}
        example={say.entryDescriptionExample}
        value={entry.description}
        wide
        onInput={(value) => setEntry({ ...entry, description: value })}
      />
      <span class="mw-field">
        <label for={id}>{say.entryCategory}</label>
        <select
          id={id}
          class="mw-input"
          value={category}
          onChange={(event) => setEntry({ ...entry, category: event.currentTarget.value })}
        >
          {categories.map((one) => (
            <option key={one} value={one}>
              {one}
            </option>
          ))}
        </select>
      </span>
      <button type="submit" class="mw-button mw-button-main" aria-disabled={ready ? undefined : true}>
        {command.busy ? say.adding : say.add}
      </button>
      <ErrorText error={command.error} />
      {added && (
        <p class="mw-ok" role="status">
          {say.added(added)}
        </p>
      )}
    </form>
  );
}
