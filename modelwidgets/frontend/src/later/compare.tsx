import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import * as format from "../format";
import { onEscape, useSlice } from "../hooks";
import type { CallError, Host } from "../host";
import { nameKey } from "../names";
import { Badge, Button, ErrorText, Name } from "../parts";
import type { ModelDetails } from "../records";
import * as say from "../strings";
import { useAnswers } from "./answers";
import { type Fact, factsOf, knownOf } from "./facts";
import { Verbatim } from "./parts";

export const MOST_COMPARED = 4;

/** One model of a comparison: what is known of it by now. */
interface Column {
  name: string;
  /** Null where the page knows nothing of it and nobody has answered yet. */
  details: ModelDetails | null;
  error: CallError | null;
}

/**
 * Two to four models side by side, installed and catalog ones mixed.
 *
 * What the page has anyway stands there at once, also without a kernel; its answers only add to it.
 */
export function Compare({
  names,
  host,
  onClose,
}: {
  names: readonly string[];
  host: Host;
  onClose: () => void;
}) {
  const [removed, setRemoved] = useState<readonly string[]>([]);
  const [onlyDiffering, setOnlyDiffering] = useState(false);
  const shown = useMemo(() => distinct(names, removed), [names, removed]);
  const installed = useSlice(host, "installed");
  const catalog = useSlice(host, "catalog");
  const known = useMemo(
    () => shown.map((name) => knownOf(name, { installed, catalog })),
    [shown, installed, catalog],
  );
  const answers = useAnswers(
    host,
    "details",
    shown.map((name, at) => ({ name: known[at]?.name ?? name })),
  );
  const columns = shown.map((name, at): Column => {
    const { value, error } = answers.of(at);
    return { name, details: value ?? known[at] ?? null, error };
  });
  const rows = rowsOf(columns);
  const kept = onlyDiffering ? rows.filter(({ differs }) => differs) : rows;
  const box = useRef<HTMLElement>(null);
  useEffect(() => box.current?.focus(), []);

  return (
    <section
      class="mw-details mw-compare"
      aria-label={say.comparisonOf(shown.map(format.name).join(", "))}
      tabIndex={-1}
      ref={box}
      onKeyDown={onEscape(onClose)}
    >
      <div class="mw-line">
        <h4>{say.comparison}</h4>
        <span class="mw-muted">{say.differing(rows.filter(({ differs }) => differs).length, rows.length)}</span>
        <label>
          <input
            type="checkbox"
            checked={onlyDiffering}
            onChange={(event) => setOnlyDiffering(event.currentTarget.checked)}
          />{" "}
          {say.onlyDiffering}
        </label>
        <span class="mw-grow" />
        <Button onClick={onClose}>{say.close}</Button>
      </div>
      <div class="mw-compare-scroll" role="group" aria-label={say.comparison} tabIndex={0}>
        <table class="mw-plain">
          <thead>
            <tr>
              <th scope="col">{say.fact}</th>
              {columns.map(({ name, details }) => (
                <th key={name} scope="col">
                  <Name name={details?.name ?? name} />
                  <span class="mw-marks">
                    {details && <Badge {...(details.installed ? { tone: "ok" as const } : {})}>{placeOf(details)}</Badge>}
                    {shown.length > 2 && (
                      <Button
                        kind="quiet"
                        label={say.leaveOut(format.name(name))}
                        onClick={() => setRemoved([...removed, nameKey(name)])}
                      >
                        {say.leaveOutShort}
                      </Button>
                    )}
                  </span>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {columns.some(({ error, details }) => error || !details) && (
              <tr>
                <th scope="row">{say.state}</th>
                {columns.map((column) => (
                  <td key={column.name}>
                    <ColumnState column={column} again={answers.again} />
                  </td>
                ))}
              </tr>
            )}
            {kept.map(({ title, differs, facts }) => (
              <tr key={title} class={differs ? "mw-differs" : ""}>
                <th scope="row">
                  {title}
                  {differs && (
                    <>
                      <span class="mw-differs-mark" aria-hidden="true">
                        ≠
                      </span>
                      <span class="mw-spoken">{say.differs}</span>
                    </>
                  )}
                </th>
                {facts.map((fact, at) => (
                  <td key={columns[at]?.name}>{fact?.text ? (fact.show ?? format.name(fact.text)) : say.none}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {kept.length === 0 && <p class="mw-muted">{say.nothingDiffers}</p>}
    </section>
  );
}

function ColumnState({ column: { name, details, error }, again }: { column: Column; again: () => void }) {
  if (error) {
    return (
      <ErrorText error={error}>
        <Button label={`${say.tryAgain}: ${format.name(name)}`} onClick={again}>
          {say.tryAgain}
        </Button>
      </ErrorText>
    );
  }
  return <span class="mw-muted">{details ? "" : say.loadingDetails}</span>;
}

/** Each model once, without those that were left out again. */
function distinct(names: readonly string[], removed: readonly string[]): string[] {
  const byKey = new Map(names.map((name) => [nameKey(name), name]));
  for (const key of removed) byKey.delete(key);
  return [...byKey.values()].slice(0, MOST_COMPARED);
}

interface Row {
  title: string;
  facts: (Fact | undefined)[];
  /** At least two models say something, and not the same. */
  differs: boolean;
}

/** The facts of which at least one model says something, in the order of the details. */
export function rowsOf(columns: readonly Pick<Column, "details">[]): Row[] {
  const all = columns.map(({ details }) => (details ? comparedOf(details) : []));
  const titles = [...new Set(all.flatMap((facts) => facts.map(({ title }) => title)))];
  return titles
    .map((title) => {
      const facts = all.map((one) => one.find((fact) => fact.title === title));
      const said = new Set(facts.map((fact) => fact?.text).filter(Boolean));
      return { title, facts, differs: said.size > 1 };
    })
    .filter(({ facts }) => facts.some((fact) => fact?.text));
}

function comparedOf(details: ModelDetails): Fact[] {
  const { info, catalog } = details;
  const texts: [string, string][] = [
    [say.system, info?.system ?? ""],
    [say.parametersBlock, info?.parameters_text ?? ""],
    [say.template, info?.template ?? ""],
  ];
  return [
    {
      title: say.description,
      text: catalog?.description ?? "",
      show: <span class="mw-text">{format.prose(catalog?.description ?? "")}</span>,
    },
    ...factsOf(details).filter(({ title }) => title !== say.freesIfDeleted),
    ...texts.map(([title, text]) => ({ title, text: text.trim(), show: <Verbatim text={text} /> })),
  ];
}

function placeOf({ installed, catalog }: ModelDetails): string {
  return installed ? say.installedMark : catalog?.custom ? say.yours : say.catalog;
}
