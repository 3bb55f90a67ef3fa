import { useState } from "preact/hooks";

import { Chips } from "../chips";
import * as format from "../format";
import type { Host } from "../host";
import { Button, ErrorText, Sentence } from "../parts";
import type { Snippet } from "../records";
import * as say from "../strings";
import { useAnswer } from "./answers";
import { CopyButton, Verbatim } from "./parts";

/** Code that uses a model, one library at a time. */
export function Snippets({ snippets }: { snippets: readonly Snippet[] }) {
  const [chosen, setChosen] = useState(0);
  const at = Math.min(chosen, snippets.length - 1);
  const snippet = snippets[at];
  if (!snippet) return null;
  return (
    <div class="mw-snippets">
      {snippet.note && (
        <p class="mw-warn">
          <Sentence text={snippet.note} />
        </p>
      )}
      <Chips
        label={say.library}
        choices={snippets.map(({ title }, at) => [format.name(title), at] as const)}
        chosen={at}
        onChoose={setChosen}
      />
      {snippet.install && (
        <p class="mw-line">
          <code class="mw-text">{format.name(snippet.install)}</code>
          <CopyButton text={snippet.install} label={say.copyWhat(format.name(snippet.install))}>
            {say.copy}
          </CopyButton>
        </p>
      )}
      <Verbatim text={snippet.code} />
      <CopyButton text={snippet.code} label={say.copyCode(format.name(snippet.title))}>
        {say.copyCodeShort}
      </CopyButton>
    </div>
  );
}

/** The same for a model of which only the name is known here. */
export function AskedSnippets({ name, host }: { name: string; host: Host }) {
  const { value, error, again } = useAnswer(host, "details", { name });
  if (error) {
    return (
      <ErrorText error={error}>
        <Button onClick={again}>{say.tryAgain}</Button>
      </ErrorText>
    );
  }
  return value ? <Snippets snippets={value.snippets} /> : <p class="mw-muted">{say.writingCode}</p>;
}
