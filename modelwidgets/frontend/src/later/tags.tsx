import { useMemo, useState } from "preact/hooks";

import { FitCell } from "../fit";
import * as format from "../format";
import { isActive, useCommand, useHost, useOff, usePull, useSlice } from "../hooks";
import type { Host } from "../host";
import { nameKey } from "../names";
import { isAbout } from "../notices";
import { Badge, Button, Name, Sentence } from "../parts";
import { Bar, PullActions, PullError, percentOf, stateOf } from "../pull";
import type { CatalogTag, InstalledModel } from "../records";
import * as say from "../strings";
import { FULL_DIGEST, tagSize } from "./facts";
import { PullQuestion } from "./pullquestion";

interface TagsProps {
  tags: readonly CatalogTag[];
  host: Host;
  /** Name each whole, because they are of different families. */
  whole?: boolean;
  /** Full names of the tags that a search found. */
  matching?: readonly string[] | undefined;
  /** Offers to put one of them beside the model that is shown. */
  onCompare?: (name: string) => void;
}

/** Tags of the catalog, each with Pull or the bar of its pull. */
export function Tags({ tags, host, whole = false, matching, onCompare }: TagsProps) {
  const some = matching && matching.length < tags.length ? new Set(matching) : null;
  const { models } = useSlice(host, "installed");
  const marks = useMemo(() => marksOf(tags, models), [tags, models]);
  return (
    <table class="mw-plain mw-tags">
      <thead>
        <tr>
          <th scope="col">{whole ? say.name : say.tag}</th>
          <th scope="col" class="mw-right">
            {say.size}
          </th>
          <th scope="col" class="mw-right">
            {say.parameters}
          </th>
          <th scope="col">{say.quantization}</th>
          <th scope="col" class="mw-right">
            {say.context}
          </th>
          <th scope="col">{say.fit}</th>
          <th scope="col">
            <span class="mw-spoken">{say.actions}</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {tags.map((tag, at) => (
          <Tag
            key={tag.name}
            tag={tag}
            title={whole ? tag.name : tag.tag}
            mark={marks[at] ?? null}
            matches={some && some.has(tag.name)}
            host={host}
            onCompare={onCompare}
          />
        ))}
      </tbody>
    </table>
  );
}

interface TagProps {
  tag: CatalogTag;
  title: string;
  mark: string | null;
  /** Whether a search found this tag of several; null where it tells no tags apart. */
  matches: boolean | null;
  host: Host;
  onCompare: ((name: string) => void) | undefined;
}

/** One tag; an error of its Pull button gets a row of its own below. */
function Tag({ tag, title, mark, matches, host, onCompare }: TagProps) {
  const off = useOff(host);
  const pull = usePull(host, tag.name);
  const percent = pull ? percentOf(pull) : null;
  const command = useCommand(host);
  const told = useHost(
    host,
    "notices",
    () =>
      pull !== undefined && host.options.view === "manager" && host.get("notices").some((one) => isAbout(one, pull)),
  );
  const fits = useSlice(host, "fits");
  const fit = fits?.marks[tag.name];
  const [asked, setAsked] = useState(false);
  const run = () => {
    setAsked(false);
    void command.run("pull", { name: tag.name });
  };
  const start = () => (fit?.verdict === "no" && mark === null ? setAsked(true) : run());
  const label = mark === null ? say.pull : say.pullAgain;
  return (
    <>
      <tr class={matches === false ? "mw-unmatched" : ""}>
        <th scope="row" class="mw-tag">
          <Name name={title} />
          <span class="mw-marks">
            {tag.recommended && <Badge tone="ok">{say.recommended}</Badge>}
            {mark !== null && <Badge tone="ok">{mark}</Badge>}
            {matches && <Badge>{say.matches}</Badge>}
          </span>
          {tag.same_as.length > 0 && (
            <span class="mw-muted mw-same" title={say.sameAs(format.name(tag.same_as.join(", ")))}>
              {say.sameAs(format.name(tag.same_as.slice(0, 2).join(", ")))}
            </span>
          )}
        </th>
        <td class="mw-right">{tagSize(tag)}</td>
        <td class="mw-right">{tag.parameters ? format.parameters(tag.parameters) : say.none}</td>
        <td>{tag.quantization ? format.name(tag.quantization) : say.none}</td>
        <td
          class="mw-right"
          title={tag.context_length ? say.tokensLong(format.integer(tag.context_length)) : undefined}
        >
          {tag.context_length ? format.tokens(tag.context_length) : say.none}
        </td>
        <td>
          <FitCell mark={fit} context={fits?.context_length ?? null} />
        </td>
        <td class="mw-right mw-tag-pull">
          <span class="mw-actions">
            {onCompare && (
              <Button
                kind="quiet"
                label={say.compareWithName(format.name(tag.name))}
                onClick={() => onCompare(tag.name)}
              >
                {say.compare}
              </Button>
            )}
            {pull && isActive(pull) && (
              <span class="mw-pull-small">
                <Bar pull={pull} />
                <span class={`mw-muted${percent === null ? "" : " mw-percent"}`}>{percent ?? stateOf(pull)}</span>
              </span>
            )}
            {pull?.state === "failed" && <span class="mw-bad">{stateOf(pull)}</span>}
            {pull && (isActive(pull) || (mark === null && pull.state !== "done")) ? (
              <PullActions pull={pull} host={host} short />
            ) : (
              <Button
                kind={tag.recommended && mark === null && !onCompare ? "main" : "plain"}
                label={`${label}: ${format.name(tag.name)}`}
                off={off}
                busy={command.busy}
                onClick={start}
              >
                {command.busy ? say.pulling : label}
              </Button>
            )}
          </span>
        </td>
      </tr>
      {asked && fit && (
        <tr class="mw-tag-error">
          <td colSpan={7}>
            <PullQuestion misfits={[{ name: tag.name, fit }]} host={host} onYes={run} onNo={() => setAsked(false)} />
          </td>
        </tr>
      )}
      {(command.error || (pull?.state === "failed" && !told)) && (
        <tr class="mw-tag-error">
          <td colSpan={7}>
            {command.error ? (
              <PullError error={command.error} name={tag.name} host={host} />
            ) : (
              <div class="mw-error">
                <Sentence text={pull?.error ?? ""} />
              </div>
            )}
          </td>
        </tr>
      )}
    </>
  );
}

/** "Installed", "Installed as X" where the same manifest has another name, or null; in the order of the tags. */
export function marksOf(
  tags: readonly CatalogTag[],
  installed: readonly InstalledModel[],
): (string | null)[] {
  const names = new Set(installed.map(({ name }) => nameKey(name)));
  const byDigest = new Map(installed.map(({ digest, name }) => [digest, name]));
  return tags.map((tag) => {
    if (names.has(nameKey(tag.name))) return say.installedMark;
    const other = FULL_DIGEST.test(tag.digest ?? "") ? byDigest.get(tag.digest as string) : undefined;
    return other === undefined ? null : say.installedAs(format.name(other));
  });
}
