import type { ComponentChildren } from "preact";
import { useMemo } from "preact/hooks";

import * as format from "../format";
import { useSlice } from "../hooks";
import type { Host } from "../host";
import { Button, ErrorText, Sentence } from "../parts";
import type { ModelDetails, Quantization } from "../records";
import * as say from "../strings";
import { useAnswer } from "./answers";
import { Beside, CompareButton, Onward, useComparison } from "./around";
import { factsOf, knownOf } from "./facts";
import { FitCard } from "./fitcard";
import { Layers } from "./layers";
import { CopyButton } from "./parts";
import { Texts } from "./texts";

/**
 * Everything known of a model, asked for when its row opens.
 *
 * What the lists tell stands there at once, also while nobody answers.
 */
export function Details({
  name,
  host,
  children,
}: {
  name: string;
  host: Host;
  children?: ComponentChildren;
}) {
  const installed = useSlice(host, "installed");
  const catalog = useSlice(host, "catalog");
  const known = useMemo(() => knownOf(name, { installed, catalog }), [name, installed, catalog]);
  const { value, error, again } = useAnswer(host, "details", { name });
  const comparison = useComparison(name);
  const gone = value && !value.installed && !value.catalog;
  const details = gone ? null : (value ?? known);
  return (
    <section class="mw-details" aria-label={`${say.details}: ${format.name(name)}`}>
      <h4>
        <bdi class="mw-text">{format.name(name)}</bdi>
      </h4>
      {details?.catalog?.description && <p class="mw-text mw-muted">{format.prose(details.catalog.description)}</p>}
      <div class="mw-actions">
        {children}
        <CopyButton text={name} label={say.copyName}>
          {say.copyName}
        </CopyButton>
        {details && <CompareButton comparison={comparison} />}
      </div>
      {details && <Beside details={details} host={host} comparison={comparison} />}
      {value?.problem && (
        <p class="mw-line">
          <span class="mw-warn">
            <Sentence text={value.problem} />
          </span>
          <Button onClick={again}>{say.tryAgain}</Button>
        </p>
      )}
      {gone && <p class="mw-warn">{say.gone}</p>}
      <ErrorText error={error}>
        <Button onClick={again}>{say.tryAgain}</Button>
      </ErrorText>
      {details && !details.installed?.remote_host && <FitCard name={details.name} host={host} />}
      {details && <Facts details={details} />}
      {!value && !error && <p class="mw-muted mw-loading">{say.loadingDetails}</p>}
      {details && (
        <div>
          <Onward details={details} host={host} comparison={comparison} />
          {value?.info && <Texts info={value.info} />}
          <Layers details={details} />
        </div>
      )}
    </section>
  );
}

function Facts({ details }: { details: ModelDetails }) {
  const family = (details.info ?? details.installed)?.family;
  return (
    <>
      <dl class="mw-facts">
        {factsOf(details)
          .filter(({ title, text }) => text && !(title === say.architecture && text === family))
          .map(({ title, text, show }) => (
            <div key={title}>
              <dt>{title}</dt>
              <dd>{show ?? format.name(text)}</dd>
            </div>
          ))}
      </dl>
      {details.quantization && <Meaning quantization={details.quantization} />}
    </>
  );
}

/** What the quantization means, in a sentence, and what its bits are based on. */
function Meaning({ quantization: { scheme, meaning, bits_per_weight, basis } }: { quantization: Quantization }) {
  return (
    <p class="mw-text mw-muted mw-meaning">
      <b>{format.name(scheme)}</b>
      {": "}
      {meaning ?? say.unknownScheme}
      {bits_per_weight !== null && basis !== null && ` ${say.bits(format.hundredths(bits_per_weight), basis)}`}
    </p>
  );
}
