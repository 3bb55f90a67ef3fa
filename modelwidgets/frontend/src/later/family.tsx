import { useMemo } from "preact/hooks";

import { recommendedOf } from "../families";
import * as format from "../format";
import type { FormProps } from "../entry";
import { useSlice } from "../hooks";
import type { Host } from "../host";
import { nameKey, pageOf } from "../names";
import { Link } from "../parts";
import type { CatalogModel, InstalledModel } from "../records";
import * as say from "../strings";
import { Beside, CompareButton, Onward, useComparison } from "./around";
import { OwnEntry } from "./entry";
import { knownOf } from "./facts";
import { FitCard } from "./fitcard";
import { LazyFold } from "./parts";
import { Tags } from "./tags";
import { FoldTitle } from "./texts";

interface FamilyProps {
  model: CatalogModel;
  host: Host;
  /** Full names of the tags that a search found. */
  matching?: readonly string[] | undefined;
  /** What the form of an entry of the user's own is given. */
  form: FormProps;
}

/** A family opened: what it is, its tags, and what leads on from the one of them to take. */
export function Family({ model, host, matching, form }: FamilyProps) {
  const page = pageOf(model.name);
  const installed = useSlice(host, "installed");
  const catalog = useSlice(host, "catalog");
  const taken = takenOf(model, installed.models);
  const details = useMemo(
    () => (taken === null ? null : knownOf(taken, { installed, catalog })),
    [taken, installed, catalog],
  );
  const comparison = useComparison(taken ?? model.name);
  return (
    <section class="mw-details" aria-label={`${say.details}: ${format.name(model.name)}`}>
      <p class="mw-text">{format.prose(model.description)}</p>
      <p class="mw-line mw-muted">
        {model.publisher && <span>{format.name(model.publisher)}</span>}
        {model.license && <span>{`${say.license}: ${format.name(model.license)}`}</span>}
        {page && <Link href={page}>{say.modelPage}</Link>}
      </p>
      {model.custom && <OwnEntry key={model.name} model={model} {...form} />}
      <Tags tags={model.tags} host={host} matching={matching} />
      {details && (
        <>
          <div class="mw-actions">
            <CompareButton comparison={comparison} />
          </div>
          <Beside details={details} host={host} comparison={comparison} />
          <div>
            <LazyFold title={<FoldTitle title={say.fitCard} text={format.name(details.name)} />}>
              {() => <FitCard name={details.name} host={host} />}
            </LazyFold>
            <Onward details={details} host={host} comparison={comparison} />
          </div>
        </>
      )}
    </section>
  );
}

/** The tag that is installed, else the one to take; null where a family has none. */
function takenOf(model: CatalogModel, installed: readonly InstalledModel[]): string | null {
  const names = new Set(installed.map(({ name }) => nameKey(name)));
  const here = model.tags.find(({ name }) => names.has(nameKey(name)));
  return (here ?? recommendedOf(model))?.name ?? null;
}
