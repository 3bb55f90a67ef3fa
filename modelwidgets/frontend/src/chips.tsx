import { useState } from "preact/hooks";

import { stepOf } from "./focus";

interface ChipsProps<Value> {
  label: string;
  /** Each by its words; a word stands once. */
  choices: readonly (readonly [words: string, value: Value])[];
  chosen: Value;
  onChoose: (value: Value) => void;
}

/** A choice of one in a line: one stop of the Tab key, the arrows lead from chip to chip. */
export function Chips<Value>({ label, choices, chosen, onChoose }: ChipsProps<Value>) {
  const [focused, setFocused] = useState(-1);
  const pressed = choices.findIndex(([, value]) => value === chosen);
  const at = choices[focused] ? focused : Math.max(pressed, 0);
  return (
    <div
      class="mw-chips"
      role="toolbar"
      aria-label={label}
      onKeyDown={(event) => {
        const to = stepOf(event, at, choices.length);
        if (to === null) return;
        const next = (to + choices.length) % choices.length;
        (event.currentTarget.children[next] as HTMLElement).focus();
      }}
      onFocusOut={() => setFocused(-1)}
    >
      {choices.map(([words, value], index) => (
        <button
          key={words}
          type="button"
          class="mw-chip"
          aria-pressed={value === chosen}
          tabIndex={index === at ? 0 : -1}
          onFocus={() => setFocused(index)}
          onClick={() => onChoose(value)}
        >
          {words}
        </button>
      ))}
    </div>
  );
}
