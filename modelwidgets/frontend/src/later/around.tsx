import { useMemo, useRef, useState } from "preact/hooks";

import * as format from "../format";
import { useSlice } from "../hooks";
import type { Host } from "../host";
import { nameKey } from "../names";
import { Button, ErrorText } from "../parts";
import type { CatalogTag, ModelDetails } from "../records";
import * as say from "../strings";
import { alike, subjectOf } from "./alike";
import { Compare, MOST_COMPARED } from "./compare";
import { knownOf, tagIn } from "./facts";
import { Field, LazyFold, Submit } from "./parts";
import { AskedSnippets, Snippets } from "./snippets";
import { Tags } from "./tags";
import { FoldTitle } from "./texts";

/** Which models stand beside one, and whether somebody is choosing another. */
export interface Comparison {
  name: string;
  others: readonly string[];
  picking: boolean;
  setPicking: (picking: boolean) => void;
  /** Null while there is no place for another. */
  add: ((other: string) => void) | null;
  close: () => void;
  /** Around the button that opens it, which gets the focus back. */
  opener: { current: HTMLSpanElement | null };
}

export function useComparison(name: string): Comparison {
  const [others, setOthers] = useState<readonly string[]>([]);
  const [picking, setPicking] = useState(false);
  const opener = useRef<HTMLSpanElement>(null);
  const add = (other: string) => {
    const known = [name, ...others].some((one) => nameKey(one) === nameKey(other));
    if (!known) setOthers([...others, other]);
  };
  const close = () => {
    setOthers([]);
    setPicking(false);
    opener.current?.querySelector("button")?.focus();
  };
  const full = others.length + 1 >= MOST_COMPARED;
  return { name, others, picking, setPicking, add: full ? null : add, close, opener };
}

export function CompareButton({ comparison }: { comparison: Comparison }) {
  const { picking, setPicking, opener } = comparison;
  return (
    <span ref={opener}>
      <Button expanded={picking} onClick={() => setPicking(!picking)}>
        {say.compareWith}
      </Button>
    </span>
  );
}

/** The choice of another model, and below it all that are chosen. */
export function Beside({ details, host, comparison }: OnwardProps) {
  const { name, others, picking, add, close } = comparison;
  return (
    <>
      {picking && add && <Picker details={details} others={others} host={host} onPick={add} />}
      {others.length > 0 && (
        <Compare key={others.join("\n")} names={[name, ...others]} host={host} onClose={close} />
      )}
    </>
  );
}

interface OnwardProps {
  details: ModelDetails;
  host: Host;
  comparison: Comparison;
}

/** What leads on from a model: code that uses it, and what else is like it. */
export function Onward({ details, host, comparison: { add } }: OnwardProps) {
  const { name, snippets } = details;
  return (
    <>
      <LazyFold title={<FoldTitle title={say.useIt} text={say.useItHow} />}>
        {() => (snippets.length > 0 ? <Snippets snippets={snippets} /> : <AskedSnippets name={name} host={host} />)}
      </LazyFold>
      <LazyFold title={<FoldTitle title={say.alike} text={say.alikeHow} />}>
        {() => <Alike details={details} host={host} {...(add ? { onCompare: add } : {})} />}
      </LazyFold>
    </>
  );
}

/** Computed from the catalog alone, so that it needs no kernel. */
function useAlike(details: ModelDetails, host: Host): readonly CatalogTag[] {
  const catalog = useSlice(host, "catalog");
  return useMemo(
    () => alike(subjectOf(details, tagIn(details.catalog, details.name)), catalog?.models ?? []),
    [details, catalog],
  );
}

function Alike({
  details,
  host,
  onCompare,
}: {
  details: ModelDetails;
  host: Host;
  onCompare?: (name: string) => void;
}) {
  const found = useAlike(details, host);
  if (found.length === 0) return <p class="mw-muted">{say.nothingAlike}</p>;
  return <Tags tags={found} host={host} whole {...(onCompare ? { onCompare } : {})} />;
}

const MOST_SUGGESTED = 50;

/** Takes the name of a model to put beside the one shown; what is like it is suggested first. */
function Picker({
  details,
  others,
  host,
  onPick,
}: {
  details: ModelDetails;
  others: readonly string[];
  host: Host;
  onPick: (name: string) => void;
}) {
  const installed = useSlice(host, "installed");
  const catalog = useSlice(host, "catalog");
  const [text, setText] = useState("");
  const [error, setError] = useState<string | null>(null);
  const near = useAlike(details, host);
  const suggested = useMemo(() => {
    const all = [...near, ...installed.models, ...(catalog?.models ?? []).flatMap(({ tags }) => tags)];
    return [...new Set(all.map(({ name }) => name))];
  }, [near, installed, catalog]);
  const typed = text.trim().toLowerCase();
  const pick = (event: Event) => {
    event.preventDefault();
    const known = knownOf(text.trim(), { installed, catalog });
    const taken = known && [details.name, ...others].some((one) => nameKey(one) === nameKey(known.name));
    setError(known ? (taken ? say.besideAlready(format.name(known.name)) : null) : say.noSuchModel(format.name(text)));
    if (!known || taken) return;
    setText("");
    onPick(known.name);
  };
  return (
    <form class="mw-form" onSubmit={pick}>
      <Field
        label={say.compareWhich}
        value={text}
        wide
        suggested={suggested.filter((name) => name.toLowerCase().includes(typed)).slice(0, MOST_SUGGESTED)}
        onInput={setText}
      />
      <Submit>{say.compare}</Submit>
      <ErrorText error={error === null ? null : { message: error }} />
    </form>
  );
}
