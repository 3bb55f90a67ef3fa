import type { ComponentChildren } from "preact";
import { useMemo } from "preact/hooks";

import * as format from "./format";
import { isActive, useCommand, useOff, usePull } from "./hooks";
import type { Host } from "./host";
import { nameKey, pageOf } from "./names";
import { Badge, Button, Link, Name } from "./parts";
import { Bar, PullActions, PullError, percentOf, stateOf } from "./pull";
import type { CatalogModel, CatalogTag, InstalledModel } from "./records";
import { strings as say } from "./strings";

interface FamilyProps {
  model: CatalogModel;
  installed: readonly InstalledModel[];
  host: Host;
  /** Full names of the tags that a search found. */
  matching?: readonly string[] | undefined;
  /** What can be done with an entry of the user's own. */
  own?: ComponentChildren;
}

/** A family opened: what it is, and its tags, each with Pull or the bar of its pull. */
export function Family({ model, installed, host, matching, own }: FamilyProps) {
  const some = matching && matching.length < model.tags.length ? new Set(matching) : null;
  const marks = useMemo(() => marksOf(model.tags, installed), [model, installed]);
  const page = pageOf(model.name);
  return (
    <section class="mw-details" aria-label={`${say.details}: ${model.name}`}>
      <p class="mw-text">{model.description}</p>
      <p class="mw-line mw-muted">
        {model.publisher && <span>{model.publisher}</span>}
        {model.license && <span>{`${say.license}: ${model.license}`}</span>}
        {page && <Link href={page}>{say.modelPage}</Link>}
      </p>
      {own}
      <table class="mw-plain mw-tags">
        <thead>
          <tr>
            <th scope="col">{say.tag}</th>
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
            <th scope="col">
              <span class="mw-spoken">{say.actions}</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {model.tags.map((tag, at) => (
            <Tag
              key={tag.name}
              tag={tag}
              mark={marks[at] ?? null}
              matches={some && some.has(tag.name)}
              host={host}
            />
          ))}
        </tbody>
      </table>
    </section>
  );
}

/** One tag; an error of its Pull button gets a row of its own below. */
function Tag(props: {
  tag: CatalogTag;
  mark: string | null;
  /** Whether a search found this tag of several; null where it tells no tags apart. */
  matches: boolean | null;
  host: Host;
}) {
  const { tag, mark, matches, host } = props;
  const off = useOff(host);
  const pull = usePull(host, tag.name);
  const command = useCommand(host);
  const start = () => command.run("pull", { name: tag.name });
  const label = mark === null ? say.pull : say.pullAgain;
  return (
    <>
      <tr class={matches === false ? "mw-unmatched" : ""}>
        <th scope="row" class="mw-tag">
          <Name name={tag.tag} />
          <span class="mw-marks">
            {tag.recommended && <Badge tone="ok">{say.recommended}</Badge>}
            {mark !== null && <Badge tone="ok">{mark}</Badge>}
            {matches && <Badge>{say.matches}</Badge>}
          </span>
        </th>
        <td class="mw-right">{sizeOf(tag)}</td>
        <td class="mw-right">{tag.parameters ? format.parameters(tag.parameters) : say.none}</td>
        <td>{tag.quantization ?? say.none}</td>
        <td
          class="mw-right"
          title={tag.context_length ? say.tokensLong(format.integer(tag.context_length)) : undefined}
        >
          {tag.context_length ? format.tokens(tag.context_length) : say.none}
        </td>
        <td class="mw-right mw-tag-pull">
          <span class="mw-actions">
            {pull && isActive(pull) && (
              <span class="mw-pull-small">
                <Bar pull={pull} />
                <span class="mw-muted">{percentOf(pull) ?? stateOf(pull)}</span>
              </span>
            )}
            {pull && (isActive(pull) || (mark === null && pull.state !== "done")) ? (
              <PullActions pull={pull} host={host} short />
            ) : (
              <Button
                kind={tag.recommended && mark === null ? "main" : "plain"}
                label={`${label}: ${tag.name}`}
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
      {(command.error || pull?.state === "failed") && (
        <tr class="mw-tag-error">
          <td colSpan={6}>
            {command.error ? (
              <PullError error={command.error} name={tag.name} host={host} />
            ) : (
              <div class="mw-error mw-text">{pull?.error}</div>
            )}
          </td>
        </tr>
      )}
    </>
  );
}

function sizeOf(tag: CatalogTag): string {
  if (tag.size_bytes === null) return say.unknown;
  const size = format.disk(tag.size_bytes);
  return tag.size_exact ? size : say.about(size);
}

const FULL_DIGEST = /^[0-9a-f]{64}$/;

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
    return other === undefined ? null : say.installedAs(other);
  });
}
