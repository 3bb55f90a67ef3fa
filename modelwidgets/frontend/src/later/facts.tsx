import type { ComponentChildren } from "preact";

import { recommendedOf } from "../families";
import * as format from "../format";
import type { Slices } from "../host";
import { familyKey, nameKey, pageOf } from "../names";
import { Badge, Link } from "../parts";
import type { CatalogModel, CatalogTag, ModelDetails } from "../records";
import * as say from "../strings";
import { CopyButton } from "./parts";

/** One fact of a model. */
export interface Fact {
  title: string;
  /** In words; two models agree on it where these are equal. */
  text: string;
  /** How it is drawn, where that is more than its words. */
  show?: ComponentChildren;
}

/** All that may be known of a model in a line; the text is empty where it is not known. */
export function factsOf(details: ModelDetails): Fact[] {
  const { name, installed, info, manifest, catalog, delete_plan } = details;
  const known = info ?? installed;
  const tag = tagIn(catalog, name);
  const digest = installed?.digest ?? manifest?.digest ?? fullDigest(tag);
  const page = pageOf(name);
  const context = known?.max_context_length ?? tag?.context_length;
  const capabilities = known?.capabilities ?? catalog?.capabilities ?? [];
  const modified = known?.modified_at ?? null;
  const families = known?.families ?? [];
  return [
    {
      title: say.capabilities,
      text: capabilities.join(", "),
      show: capabilities.map((one) => <Badge key={one}>{format.name(one)}</Badge>),
    },
    { title: say.categories, text: catalog?.categories.join(", ") ?? "" },
    { title: say.parameters, text: parametersOf(details, tag) },
    { title: say.quantization, text: known?.quantization || (tag?.quantization ?? "") },
    bitsOf(details),
    { title: say.size, text: sizeOf(details, tag) },
    { title: say.projector, text: projectorOf(details, tag) },
    { title: say.contextLength, text: context ? say.tokensLong(format.integer(context)) : "" },
    {
      title: say.embeddingLength,
      text: known?.embedding_length ? format.integer(known.embedding_length) : "",
    },
    { title: say.format, text: known?.format ?? "" },
    { title: say.family, text: known?.family ?? "" },
    { title: say.families, text: families.length > 1 ? families.join(", ") : "" },
    { title: say.architecture, text: architectureOf(details) },
    { title: say.experts, text: expertsOf(details) },
    { title: say.license, text: catalog?.license ?? firstLine(info?.license ?? "") },
    { title: say.publisher, text: catalog?.publisher ?? "" },
    { title: say.requires, text: info?.requires ?? "" },
    { title: say.runsAt, text: known?.remote_host ?? "" },
    {
      title: say.modified,
      text: modified ? format.date(modified) : "",
      show: modified && <When iso={modified} />,
    },
    {
      title: say.freesIfDeleted,
      text: delete_plan ? (delete_plan.exact ? format.disk : atMost)(delete_plan.frees_bytes) : "",
    },
    { title: say.digest, text: digest ?? "", show: digest && <Digest digest={digest} /> },
    {
      title: say.modelPage,
      text: page ?? "",
      show: page && <Link href={page}>{page.replace("https://", "")}</Link>,
    },
  ];
}

/**
 * What the page knows of a name without asking anybody; null where it is neither installed nor in the
 * catalog. A family stands for its recommended tag.
 */
export function knownOf(name: string, { installed, catalog }: Pick<Slices, "installed" | "catalog">) {
  const [key, familyName] = [nameKey(name), familyKey(name)];
  const here = installed.models.find((model) => nameKey(model.name) === key) ?? null;
  const families = (catalog?.models ?? []).filter((model) => familyKey(model.name) === familyName);
  const family =
    families.find((model) => tagIn(model, name)) ??
    families.find((model) => here || nameKey(model.name) === key) ??
    null;
  if (!here && !family) return null;
  const tag = family && (tagIn(family, name) ?? (here ? null : recommendedOf(family)));
  const details: ModelDetails = {
    name: here?.name ?? tag?.name ?? name,
    installed: here,
    info: null,
    manifest: null,
    catalog: family,
    delete_plan: null,
    tag,
    basis: here ? "list" : "catalog",
    quantization: null,
    layers: [],
    manifest_path: null,
    problem: null,
    snippets: [],
  };
  return details;
}

/** The tag of a family that a name means, also where the catalog lists it under another one. */
export function tagIn(family: CatalogModel | null, name: string): CatalogTag | null {
  if (!family) return null;
  const key = nameKey(name);
  return (
    family.tags.find((tag) => nameKey(tag.name) === key) ??
    family.tags.find((tag) => tag.same_as.some((other) => nameKey(`${family.name}:${other}`) === key)) ??
    null
  );
}

/** The first twelve digits, with a button that copies all. */
export function Digest({ digest }: { digest: string }) {
  return (
    <>
      <code title={digest}>{format.shortDigest(digest)}</code>
      <CopyButton text={digest} label={say.copyDigest}>
        {say.copy}
      </CopyButton>
    </>
  );
}

/** How long ago, and when exactly. */
export function When({ iso }: { iso: string }) {
  return (
    <time dateTime={iso}>
      {format.relative(iso, Date.now())} <span class="mw-muted">({format.date(iso)})</span>
    </time>
  );
}

export function firstLine(text: string): string {
  return text.trim().split("\n", 1)[0]?.slice(0, 120) ?? "";
}

export function tagSize(tag: CatalogTag): string {
  if (tag.size_bytes === null) return say.unknown;
  const size = format.disk(tag.size_bytes);
  return tag.size_exact ? size : say.about(size);
}

function sizeOf({ installed, manifest }: ModelDetails, tag: CatalogTag | null): string {
  if (installed) return installed.remote_host ? "" : format.disk(installed.size_bytes);
  if (manifest) return format.disk(manifest.total_bytes);
  return tag?.size_bytes ? tagSize(tag) : "";
}

/** `3.2 B (3,212,749,888)`: the count where it was read from the weights, not made of the label. */
function parametersOf({ info, installed }: ModelDetails, tag: CatalogTag | null): string {
  const label = format.parameters((info ?? installed)?.parameter_size || (tag?.parameters ?? ""));
  const count = info?.model_info["general.parameter_count"];
  if (typeof count !== "number") return label;
  return label ? `${label} (${format.integer(count)})` : format.integer(count);
}

function architectureOf({ info, catalog, name }: ModelDetails): string {
  const read = info?.model_info["general.architecture"];
  return typeof read === "string" ? read : (tagIn(catalog, name)?.architecture ?? "");
}

/** How many bits a weight takes; what that is based on is read out too. */
function bitsOf({ quantization }: ModelDetails): Fact {
  const bits = quantization?.bits_per_weight;
  if (bits == null) return { title: say.bitsPerWeight, text: "" };
  const text = format.hundredths(bits);
  return {
    title: say.bitsPerWeight,
    text,
    show: <span title={format.name(quantization?.basis ?? "")}>{text}</span>,
  };
}

/** What turns pictures into what the model reads, where that is a file of its own. */
function projectorOf({ info, manifest }: ModelDetails, tag: CatalogTag | null): string {
  const layer = manifest?.layers.find(({ media_type }) => layerKind(media_type) === "projector");
  const bytes = layer?.size_bytes ?? tag?.projector_bytes;
  const read = info?.projector_info["general.architecture"];
  return [typeof read === "string" && read, bytes && format.disk(bytes)].filter(Boolean).join(", ");
}

function expertsOf({ info }: ModelDetails): string {
  const family = info?.model_info["general.architecture"];
  const [all, used] = ["expert_count", "expert_used_count"].map((key) => info?.model_info[`${family}.${key}`]);
  if (typeof all !== "number" || all === 0) return "";
  return typeof used === "number" ? say.expertsUsed(format.integer(used), format.integer(all)) : format.integer(all);
}

/** `application/vnd.ollama.image.model` is a model, `...container.image.v1+json` the config. */
export function layerKind(mediaType: string): string {
  if (mediaType.startsWith("application/vnd.docker.container.image")) return "config";
  return /^application\/vnd\.ollama\.image\.(.+)$/.exec(mediaType)?.[1] ?? mediaType;
}

export const FULL_DIGEST = /^[0-9a-f]{64}$/;

function fullDigest(tag: CatalogTag | null): string | null {
  return tag?.digest && FULL_DIGEST.test(tag.digest) ? tag.digest : null;
}

function atMost(bytes: number): string {
  return say.atMost(format.disk(bytes));
}
