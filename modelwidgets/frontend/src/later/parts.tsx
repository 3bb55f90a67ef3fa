/** Parts that only the later views are made of. */
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";

import { useUniqueId } from "../hooks";
import { Button } from "../parts";
import * as say from "../strings";
import { copyText } from "./clipboard";

/** A fold for what is costly to draw or has to be asked for: it is made when first opened. */
export function LazyFold({ title, children }: { title: ComponentChildren; children: () => ComponentChildren }) {
  const [seen, setSeen] = useState(false);
  return (
    <details class="mw-fold" onToggle={(event) => event.currentTarget.open && setSeen(true)}>
      <summary>{title}</summary>
      {seen && children()}
    </details>
  );
}

/** A text of the server as it stands: never markup, its line breaks kept. */
export function Verbatim({ text }: { text: string }) {
  return (
    <pre class="mw-verbatim" tabIndex={0}>
      {text}
    </pre>
  );
}

export function CopyButton({ text, label, children }: { text: string; label: string; children: string }) {
  const [outcome, setOutcome] = useState<"copied" | "refused" | null>(null);
  const copy = async (button: HTMLElement) => {
    const copied = await copyText(text, button);
    setOutcome(copied ? "copied" : "refused");
    if (copied) setTimeout(() => setOutcome(null), 2000);
  };
  return (
    <>
      <Button kind="quiet" label={label} onClick={copy}>
        {outcome === "copied" ? say.copied : children}
      </Button>
      {outcome === "refused" && <span class="mw-error">{say.cannotCopy}</span>}
    </>
  );
}

/** The button that sends a form; what is not ready stays focusable, and the form itself sends nothing then. */
export function Submit(props: { ready?: boolean; title?: string | undefined; children: string }) {
  const { ready = true, title, children } = props;
  return (
    <button
      type="submit"
      class="mw-button mw-button-main"
      aria-disabled={ready ? undefined : true}
      title={title}
    >
      {children}
    </button>
  );
}

/** A labelled field of a small form. */
export function Field(props: {
  label: string;
  example?: string;
  /** What may stand there, below the field. */
  help?: string;
  value: string;
  wide?: boolean;
  /** The longest text that it takes. */
  most?: number;
  /** What is probably meant. */
  suggested?: readonly string[];
  onInput: (value: string) => void;
}) {
  const id = useUniqueId();
  return (
    <span class={`mw-field${props.wide ? " mw-wide" : ""}`}>
      <label for={id}>{props.label}</label>
      <input
        id={id}
        class="mw-input"
        type="text"
        value={props.value}
        placeholder={props.example}
        maxLength={props.most}
        list={props.suggested && `${id}-list`}
        dir="auto"
        aria-describedby={props.help && `${id}-help`}
        spellcheck={false}
        autocomplete="off"
        onInput={(event) => props.onInput(event.currentTarget.value)}
      />
      {props.suggested && (
        <datalist id={`${id}-list`}>
          {props.suggested.map((text) => (
            <option key={text} value={text} />
          ))}
        </datalist>
      )}
      {props.help && (
        <small class="mw-muted" id={`${id}-help`}>
          {props.help}
        </small>
      )}
    </span>
  );
}
