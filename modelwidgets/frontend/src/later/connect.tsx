import { useState } from "preact/hooks";

import { useCommand } from "../hooks";
import type { Host } from "../host";
import { Button, ErrorText } from "../parts";
import * as say from "../strings";
import { Field, Submit } from "./parts";

/** The field for the address of another server. */
export function Connect({ host, onClose }: { host: Host; onClose: () => void }) {
  const [url, setUrl] = useState("");
  const command = useCommand(host);
  const submit = async (event: Event) => {
    event.preventDefault();
    if (!url.trim()) return;
    const answer = await command.run("connect", { url: url.trim() });
    if (answer && "value" in answer) onClose();
  };
  return (
    <form class="mw-form" onSubmit={submit}>
      <Field label={say.address} example={say.addressExample} value={url} wide onInput={setUrl} />
      <Submit ready={url.trim() !== "" && !command.busy}>{command.busy ? say.connecting : say.connect}</Submit>
      <Button onClick={onClose}>{say.cancel}</Button>
      <ErrorText error={command.error} />
    </form>
  );
}
