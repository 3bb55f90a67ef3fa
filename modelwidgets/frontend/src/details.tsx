import type { ComponentChildren } from "preact";

import * as format from "./format";
import { useAnswer } from "./hooks";
import type { Host } from "./host";
import { pageOf } from "./names";
import { Badge, Button, CopyButton, ErrorText, Fold, Link, Verbatim } from "./parts";
import type { Layer, ModelDetails } from "./records";
import { strings as say } from "./strings";

/** Everything known of an installed model, asked for when its row opens. */
export function Details({
  name,
  host,
  children,
}: {
  name: string;
  host: Host;
  children?: ComponentChildren;
}) {
  const { value, error, again } = useAnswer(host, "details", { name });
  return (
    <section class="mw-details" aria-label={`${say.details}: ${name}`}>
      <h4 class="mw-text">{format.name(name)}</h4>
      {value?.catalog?.description && <p class="mw-text mw-muted">{value.catalog.description}</p>}
      {value && <Facts details={value} />}
      {!value && !error && <p class="mw-muted mw-loading">{say.loadingDetails}</p>}
      <ErrorText error={error}>
        <Button onClick={again}>{say.tryAgain}</Button>
      </ErrorText>
      {value && <Texts details={value} />}
      <div class="mw-actions">
        {children}
        <CopyButton text={name} label={say.copyName}>
          {say.copyName}
        </CopyButton>
      </div>
    </section>
  );
}

/** What a fact is called, and what it is; null where it is not known. */
type Fact = [title: string, value: ComponentChildren];

function Facts({ details }: { details: ModelDetails }) {
  return (
    <dl class="mw-facts">
      {factsOf(details).map(([title, value]) => (
        <div key={title}>
          <dt>{title}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function factsOf({ name, installed, info, manifest, catalog, delete_plan }: ModelDetails): Fact[] {
  const known = info ?? installed;
  const digest = installed?.digest ?? manifest?.digest;
  const architecture = info?.model_info["general.architecture"];
  const page = pageOf(name);
  const context = known?.max_context_length;
  const facts: Fact[] = [
    [say.capabilities, known?.capabilities?.map((one) => <Badge key={one}>{one}</Badge>)],
    [say.parameters, known?.parameter_size && parametersOf(known)],
    [say.quantization, known?.quantization],
    [say.contextLength, context && say.tokensLong(format.integer(context))],
    [say.size, installed && !installed.remote_host && format.disk(installed.size_bytes)],
    [say.format, known?.format],
    [say.family, known?.family],
    [say.families, known && known.families.length > 1 && known.families.join(", ")],
    [say.architecture, typeof architecture === "string" && architecture !== known?.family && architecture],
    [say.embeddingLength, known?.embedding_length && format.integer(known.embedding_length)],
    [say.modified, known?.modified_at && format.date(known.modified_at)],
    [say.requires, info?.requires],
    [say.runsAt, known?.remote_host],
    [say.publisher, catalog?.publisher],
    [say.license, catalog?.license],
    [say.freesIfDeleted, delete_plan && (delete_plan.exact ? format.disk : atMost)(delete_plan.frees_bytes)],
    [say.digest, digest && <Digest digest={digest} />],
    [say.modelPage, page && <Link href={page}>{page.replace("https://", "")}</Link>],
  ];
  return facts.filter(([, value]) => value);
}

function atMost(bytes: number): string {
  return say.atMost(format.disk(bytes));
}

/** `3.2 B (3,212,749,888)`. */
function parametersOf({
  parameter_size,
  parameters,
}: {
  parameter_size: string;
  parameters: number | null;
}): string {
  const label = format.parameters(parameter_size);
  return parameters === null ? label : `${label} (${format.integer(parameters)})`;
}

function Digest({ digest }: { digest: string }) {
  return (
    <>
      <code title={digest}>{format.shortDigest(digest)}</code>
      <CopyButton text={digest} label={say.copyDigest}>
        {say.copy}
      </CopyButton>
    </>
  );
}

/** The long texts, folded, each with its first line beside its title. */
function Texts({ details: { info, manifest } }: { details: ModelDetails }) {
  const texts: [string, string][] = info
    ? [
        [say.system, info.system],
        [say.parametersBlock, info.parameters_text],
        [say.template, info.template],
        [say.modelfile, info.modelfile],
        [say.license, info.license],
      ]
    : [];
  return (
    <div>
      {texts.map(([title, text]) =>
        text.trim() ? (
          <Fold key={title} title={<Title title={title} text={firstLine(text)} />}>
            <Verbatim text={text} />
          </Fold>
        ) : (
          <p key={title} class="mw-fold mw-fold-empty">
            <Title title={title} text={say.empty} />
          </p>
        ),
      )}
      {manifest && (
        <Fold
          title={
            <Title
              title={say.layers}
              text={`${manifest.layers.length} · ${format.disk(manifest.total_bytes)}`}
            />
          }
        >
          <Layers layers={manifest.layers} />
        </Fold>
      )}
    </div>
  );
}

function Title({ title, text }: { title: string; text: string }) {
  return (
    <>
      <b>{title}</b> <span class="mw-muted mw-ellipsis">{text}</span>
    </>
  );
}

function firstLine(text: string): string {
  return text.trim().split("\n", 1)[0]?.slice(0, 120) ?? "";
}

function Layers({ layers }: { layers: readonly Layer[] }) {
  return (
    <table class="mw-plain">
      <thead>
        <tr>
          <th scope="col">{say.layerWhat}</th>
          <th scope="col">{say.digest}</th>
          <th scope="col" class="mw-right">
            {say.size}
          </th>
        </tr>
      </thead>
      <tbody>
        {layers.map((layer) => (
          <tr key={layer.digest}>
            <td title={layer.media_type}>{layerKind(layer.media_type)}</td>
            <td>
              <Digest digest={layer.digest} />
            </td>
            <td class="mw-right">{format.disk(layer.size_bytes)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** `application/vnd.ollama.image.model` is a model, `...container.image.v1+json` the config. */
export function layerKind(mediaType: string): string {
  if (mediaType.startsWith("application/vnd.docker.container.image")) return "config";
  return /^application\/vnd\.ollama\.image\.(.+)$/.exec(mediaType)?.[1] ?? mediaType;
}
