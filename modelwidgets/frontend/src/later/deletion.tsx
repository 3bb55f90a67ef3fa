import * as format from "../format";
import { isActive, useCommand, useOff, usePull } from "../hooks";
import type { Host } from "../host";
import type { DeletePlan } from "../records";
import * as say from "../strings";
import { useAnswer } from "./answers";
import { Confirmation } from "./confirmation";

/** Says what deleting a model would free and asks once, in the place of the row's details. */
export function Deletion({ name, host, onClose }: { name: string; host: Host; onClose: () => void }) {
  const plan = useAnswer(host, "plan_delete", { name });
  const command = useCommand(host);
  const off = useOff(host);
  const pull = usePull(host, name);
  const pulling = pull !== undefined && isActive(pull);
  const inUse = command.error?.kind === "InUseError";
  const run = async () => {
    // what is forced has been said: that it is unloaded, that its pull is stopped, or the error
    const force = inUse || pulling || plan.value?.running === true;
    const answer = await command.run("delete", { name, force });
    if (answer && "value" in answer) onClose();
  };
  return (
    <Confirmation
      label={say.confirmDelete(format.name(name))}
      plan={plan}
      command={command}
      off={off}
      yes={inUse ? say.deleteAllTheSame : say.deleteName(format.name(name))}
      busy={say.deletingName}
      onYes={run}
      onNo={onClose}
    >
      {plan.value && <p class="mw-text">{wordsOf(plan.value, pulling)}</p>}
    </Confirmation>
  );
}

/** The plan as sentences. */
export function wordsOf(plan: DeletePlan, pulling = false): string {
  const { exact, kept_bytes, shared_with, running } = plan;
  const name = format.name(plan.name);
  const size = format.disk(plan.frees_bytes);
  return [
    exact ? say.frees(name, size) : say.freesAtMost(name, size),
    exact && kept_bytes > 0 && say.stays(format.disk(kept_bytes), list(shared_with), shared_with.length > 1),
    running && say.unloadsFirst,
    pulling && say.stopsPullFirst,
  ]
    .filter(Boolean)
    .join(" ");
}

function list(names: readonly string[]): string {
  return format.list(names.length > 0 ? names.map(format.name) : [say.unknown]);
}
