import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import * as format from "../format";
import { asCallError, onEscape, useCommand, useOff, useSlice } from "../hooks";
import type { Host } from "../host";
import { Button, Sentence } from "../parts";
import type { BulkDeletePlan, BulkDeletion, FitMarks } from "../records";
import type { Selection } from "../selection";
import * as say from "../strings";
import { useAnswer } from "./answers";
import { copyText } from "./clipboard";
import { Compare, MOST_COMPARED } from "./compare";
import { Confirmation } from "./confirmation";
import { type Misfit, PullQuestion } from "./pullquestion";

/** What one asks for that all marked rows are to do. */
type Asked = "delete" | "pull" | "compare" | "names" | null;

/** A model that something could not be done with, and why. */
interface Failure {
  name: string;
  error: string;
}

export interface BulkBarProps {
  host: Host;
  selection: Selection;
  /** How many of the marked rows a filter hides. */
  hidden: number;
  /** Full names of what to pull, to copy or to compare, in the order in which they are shown. */
  names: readonly string[];
  pullLabel: string;
  /** Whether the rows are models on disk, which can be deleted. */
  deletes?: boolean;
  /** What else is to be said of the marked rows. */
  children?: ComponentChildren;
}

/** What can be done with all marked rows at once; it stands below the table, so that no row moves. */
export function BulkBar(props: BulkBarProps) {
  const { host, selection, hidden, names, pullLabel, deletes, children } = props;
  const count = selection.keys.size;
  const [asked, setAsked] = useState<Asked>(null);
  const [said, setSaid] = useState("");
  const [failures, setFailures] = useState<readonly Failure[]>([]);
  const [pulling, setPulling] = useState(false);
  const off = useOff(host);
  const bar = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (count === 0) setAsked(null);
  }, [count === 0]);
  const begin = (next: Asked) => {
    setFailures([]);
    setSaid("");
    setAsked(next);
  };
  const marks = useSlice(host, "fits")?.marks;
  // what is installed is known to its owner
  const misfits = deletes ? [] : misfitsOf(names, marks);
  const pull = async () => {
    begin(null);
    setPulling(true);
    const failed = await pullAll(host, names);
    setPulling(false);
    setFailures(failed);
    setSaid(failed.length < names.length ? say.queuedMany(names.length - failed.length) : "");
  };
  const copy = async (button: HTMLElement) => {
    const copied = await copyText(names.join("\n"), button);
    begin(copied ? null : "names");
    setSaid(copied ? say.copiedNames(names.length) : say.cannotCopy);
  };
  const deleted = ({ deleted: gone, failed }: BulkDeletion) => {
    selection.actions.drop(gone);
    setAsked(null);
    setFailures(failed);
    setSaid(gone.length > 0 ? say.deletedMany(gone.length) : "");
    bar.current?.focus();
  };
  const close = () => {
    setAsked(null);
    bar.current?.focus();
  };
  const comparable = count >= 2 && count <= MOST_COMPARED;
  return (
    <div class={count > 0 || failures.length > 0 || said ? "mw-bulk" : ""} tabIndex={-1} ref={bar}>
      {count > 0 && (
        <div class="mw-bulk-line" role="group" aria-label={say.bulk}>
          <span>
            <b>{say.marked(count)}</b>
            {hidden > 0 && <span class="mw-warn"> {say.markedHidden(hidden)}</span>}
          </span>
          <span class="mw-muted">{children}</span>
          <span class="mw-grow" />
          {deletes && (
            <Button off={off} expanded={asked === "delete"} onClick={() => begin("delete")}>
              {say.deleteMany}
            </Button>
          )}
          <Button off={off} busy={pulling} onClick={misfits.length > 0 ? () => begin("pull") : pull}>
            {pulling ? say.pulling : pullLabel}
          </Button>
          <Button onClick={copy}>{say.copyNames}</Button>
          <Button
            off={comparable ? null : { mark: "", reason: say.compareHow(MOST_COMPARED) }}
            expanded={asked === "compare"}
            onClick={() => begin("compare")}
          >
            {say.compare}
          </Button>
          <Button kind="quiet" onClick={selection.actions.clear}>
            {say.unmark}
          </Button>
        </div>
      )}
      <div class="mw-bulk-said mw-muted" role="status">
        {said}
      </div>
      {asked === "names" && <textarea class="mw-verbatim" readOnly rows={4} value={names.join("\n")} />}
      {failures.length > 0 && (
        <Failures failures={failures} onClose={() => setFailures([])} />
      )}
      {asked === "delete" && (
        <BulkConfirmation names={[...selection.keys]} host={host} onDone={deleted} onClose={close} />
      )}
      {asked === "pull" && <PullQuestion misfits={misfits} host={host} onYes={pull} onNo={close} />}
      {asked === "compare" && comparable && <Compare names={names} host={host} onClose={close} />}
    </div>
  );
}

/** Those of the names that fit nowhere. */
export function misfitsOf(names: readonly string[], marks: FitMarks["marks"] | undefined): Misfit[] {
  return names.flatMap((name) => {
    const fit = marks?.[name];
    return fit?.verdict === "no" ? [{ name, fit }] : [];
  });
}

/** Says what deleting all of them frees, and asks once. */
function BulkConfirmation(props: {
  names: readonly string[];
  host: Host;
  onDone: (done: BulkDeletion) => void;
  onClose: () => void;
}) {
  const { names, host, onDone, onClose } = props;
  const plan = useAnswer(host, "plan_delete_many", { names: [...names] });
  const command = useCommand(host);
  const off = useOff(host);
  const run = async () => {
    if (!plan.value) return;
    const { names: there, missing, running } = plan.value;
    const answer = await command.run("delete_many", { names: [...there, ...missing], force: running });
    if (answer && "value" in answer) onDone(answer.value);
  };
  return (
    <Confirmation
      label={say.confirmDeleteMany(names.length)}
      plan={plan}
      command={command}
      off={off}
      yes={say.confirmMany(names.length)}
      busy={say.deletingName}
      onYes={run}
      onNo={onClose}
      onKeyDown={onEscape(onClose)}
    >
      {plan.value && sentencesOf(plan.value).map((text) => <p key={text} class="mw-text">{text}</p>)}
      {plan.value && <NameList names={plan.value.names} />}
    </Confirmation>
  );
}

/** What is deleted, by name; many of them in a box that scrolls. */
function NameList({ names }: { names: readonly string[] }) {
  return (
    <ul class="mw-bulk-names mw-mono" tabIndex={0} aria-label={say.toBeDeleted}>
      {names.map((name) => (
        <li key={name}>
          <bdi class="mw-text">{format.name(name)}</bdi>
        </li>
      ))}
    </ul>
  );
}

function Failures({ failures, onClose }: { failures: readonly Failure[]; onClose: () => void }) {
  return (
    <div role="alert">
      <div class="mw-line">
        <b class="mw-bad">{say.failedMany(failures.length)}</b>
        <Button kind="quiet" onClick={onClose}>
          {say.dismiss}
        </Button>
      </div>
      <ul class="mw-list">
        {failures.map(({ name, error }) => (
          <li key={name} class="mw-text">
            <b class="mw-mono">{format.name(name)}</b>: <Sentence text={error} />
          </li>
        ))}
      </ul>
    </div>
  );
}

/** The plan in words, a sentence each. */
export function sentencesOf(plan: BulkDeletePlan): string[] {
  const { names, exact, kept_bytes, shared_with, running, missing } = plan;
  const size = format.disk(plan.frees_bytes);
  const count = names.length;
  return [
    count > 0 && (exact ? say.freesMany(count, size) : say.freesManyAtMost(count, size)),
    kept_bytes > 0 && say.stays(format.disk(kept_bytes), list(shared_with), shared_with.length > 1),
    running.length > 0 && say.unloadsMany(list(running), running.length > 1),
    missing.length > 0 && say.goneMany(list(missing), missing.length > 1),
  ].filter((text) => text !== false);
}

const MOST_NAMED = 5;

function list(names: readonly string[]): string {
  const named = names.slice(0, MOST_NAMED).map(format.name);
  const more = names.length - named.length;
  return format.list(more > 0 ? [...named, say.others(more)] : named);
}

/** Ask for each; what the other side refused, with its reason. */
async function pullAll(host: Host, names: readonly string[]): Promise<Failure[]> {
  const failed: Failure[] = [];
  for (const name of names) {
    try {
      await host.call("pull", { name });
    } catch (error) {
      failed.push({ name, error: asCallError(error).message });
    }
  }
  return failed;
}
