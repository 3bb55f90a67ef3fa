import { useMemo, useState } from "preact/hooks";

import { EntryForm } from "./entry";
import { Family } from "./family";
import * as format from "./format";
import { useConnection, useSlice } from "./hooks";
import type { Host } from "./host";
import { Capabilities } from "./installed";
import { LookUp } from "./lookup";
import { familyKey, parseName, tagOf } from "./names";
import { Badge, Button, CommandButton, Empty, Fold, Name, Search } from "./parts";
import type { CatalogModel, CatalogSlice, InstalledModel } from "./records";
import { matcher } from "./search";
import { strings as say } from "./strings";
import { type Column, Table, byNumber, byText } from "./table";

/** A family of the catalog with what of it is installed. */
interface Row {
  model: CatalogModel;
  /** Tags of it that are installed. */
  installed: readonly string[];
}

/** What could be pulled, by category and search; a family opens to its tags. */
export function Catalog({ host }: { host: Host }) {
  const catalog = useSlice(host, "catalog");
  const { models } = useSlice(host, "installed");
  const connection = useConnection(host);
  const [query, setQuery] = useState("");
  const [category, setCategory] = useState<string | null>(null);
  const [open, setOpen] = useState<string | null>(null);
  const rows = useMemo(() => (catalog ? rowsOf(catalog.models, models) : []), [catalog, models]);
  const categories = useMemo(() => (catalog ? categoriesOf(catalog.models) : []), [catalog]);
  const found = useMemo(() => {
    const matches = matcher(query);
    return rows.filter(
      ({ model }) => (category === null || model.categories.includes(category)) && matches(textOf(model)),
    );
  }, [rows, query, category]);

  if (catalog === null) {
    return <Empty text={connection === "lost" ? say.lost : say.loadingCatalog} />;
  }
  const clear = () => {
    setQuery("");
    setCategory(null);
  };
  return (
    <>
      <div class="mw-tools">
        <Search label={say.searchCatalog} value={query} onInput={setQuery} />
        {found.length < rows.length && (
          <span class="mw-muted">{say.shown(format.integer(found.length), format.integer(rows.length))}</span>
        )}
      </div>
      <Chips categories={categories} chosen={category} onChoose={setCategory} />
      {found.length > 0 ? (
        <Table
          label={say.catalog}
          columns={COLUMNS}
          rows={found}
          keyOf={keyOf}
          firstSort={{ column: "popularity", down: true }}
          open={open}
          onToggle={(name) => setOpen(open === name ? null : name)}
          panel={({ model }) => <Family model={model} installed={models} host={host} />}
        />
      ) : (
        <NoHits query={query.trim()} category={category} host={host} onClear={clear} />
      )}
      <Foot catalog={catalog} categories={categories} host={host} />
    </>
  );
}

const keyOf = (row: Row) => row.model.name;
const SIZES = 3;

const COLUMNS: Column<Row>[] = [
  { id: "model", title: say.model, cell: (row) => <Model row={row} />, order: byText(keyOf) },
  { id: "sizes", title: say.sizes, cell: ({ model }) => <Sizes model={model} /> },
  {
    id: "popularity",
    title: say.popularity,
    align: "right",
    cell: ({ model }) => (model.pulls === null ? say.none : format.count(model.pulls)),
    order: byNumber(({ model }) => model.pulls),
    largestFirst: true,
  },
  {
    id: "updated",
    title: say.updated,
    align: "right",
    cell: ({ model }) => <span class="mw-muted">{model.updated ?? say.none}</span>,
    order: byText(({ model }) => model.updated ?? ""),
    largestFirst: true,
  },
];

function Model({ row: { model, installed } }: { row: Row }) {
  return (
    <span class="mw-model">
      <span class="mw-model-head">
        <b class="mw-ellipsis">
          <Name name={model.name} code={false} />
        </b>
        <span class="mw-marks">
          {installed.length > 0 && <Badge tone="ok">{say.installedTags(installed.join(", "))}</Badge>}
          {model.custom && <Badge>{say.yours}</Badge>}
        </span>
        <span class="mw-badges">
          <Capabilities of={model.capabilities} />
        </span>
      </span>
      <span class="mw-description mw-muted" title={model.description}>
        {model.description}
      </span>
    </span>
  );
}

/** The first sizes; the recommended one stands out. */
function Sizes({ model }: { model: CatalogModel }) {
  const sizes = sizesOf(model);
  return (
    <span class="mw-sizes">
      {sizes.slice(0, SIZES).map(({ label, recommended }) => (
        <span
          key={label}
          class={recommended ? "mw-recommended" : ""}
          title={recommended ? say.recommended : undefined}
        >
          {label}
        </span>
      ))}
      {sizes.length > SIZES && <span class="mw-muted">{say.more(sizes.length - SIZES)}</span>}
    </span>
  );
}

/** The sizes that a family comes in, each once, by the label of its tags. */
export function sizesOf(model: CatalogModel): { label: string; recommended: boolean }[] {
  const sizes = new Map<string, boolean>();
  for (const tag of model.tags) {
    const label = tag.parameters ?? tag.tag;
    sizes.set(label, sizes.get(label) || tag.recommended);
  }
  return [...sizes].map(([label, recommended]) => ({ label, recommended }));
}

function Chips(props: {
  categories: readonly string[];
  chosen: string | null;
  onChoose: (category: string | null) => void;
}) {
  return (
    <div class="mw-chips" role="group" aria-label={say.categories}>
      {[null, ...props.categories].map((category) => (
        <button
          key={category}
          type="button"
          class="mw-chip"
          aria-pressed={props.chosen === category}
          onClick={() => props.onChoose(category)}
        >
          {category ?? say.all}
        </button>
      ))}
    </div>
  );
}

/** Nothing found: in the category, in the whole catalog, or nowhere; a name can be looked up then. */
function NoHits(props: { query: string; category: string | null; host: Host; onClear: () => void }) {
  const { query, category, host, onClear } = props;
  if (!query) return <Empty text={category === null ? say.emptyCatalog : say.emptyCategory(category)} />;
  return (
    <>
      <Empty text={parseName(query) ? say.notInCatalog(query) : say.noHits(query)}>
        {parseName(query) && <LookUp key={query} name={query} host={host} />}
        <Button onClick={onClear}>{say.clearFilter}</Button>
      </Empty>
    </>
  );
}

/** How old the catalog is, what could not be read of it, and how to add to it. */
function Foot({
  catalog,
  categories,
  host,
}: {
  catalog: CatalogSlice;
  categories: readonly string[];
  host: Host;
}) {
  return (
    <div class="mw-foot">
      <span class="mw-line mw-muted">
        <span>{say.catalogOf(format.shortDate(catalog.as_of))}</span>
        <CommandButton
          host={host}
          method="refresh_catalog"
          params={{}}
          label={say.refreshCatalog}
          busyLabel={say.refreshing}
          kind="quiet"
        />
      </span>
      {catalog.problems.length > 0 && (
        <Fold title={<span class="mw-warn">{say.problems(catalog.problems.length)}</span>}>
          <Problems problems={catalog.problems} />
        </Fold>
      )}
      <Fold title={say.addEntry}>
        <EntryForm categories={categories} host={host} />
      </Fold>
    </div>
  );
}

function Problems({ problems }: { problems: readonly string[] }) {
  return (
    <ul class="mw-list">
      {problems.map((problem) => (
        <li key={problem} class="mw-text">
          {problem}
        </li>
      ))}
    </ul>
  );
}

function rowsOf(families: readonly CatalogModel[], models: readonly InstalledModel[]): Row[] {
  const tags = new Map<string, string[]>();
  for (const { name } of models) {
    const family = familyKey(name);
    tags.set(family, [...(tags.get(family) ?? []), tagOf(name)]);
  }
  return families.map((model) => ({ model, installed: tags.get(familyKey(model.name)) ?? [] }));
}

const texts = new WeakMap<CatalogModel, string>();

/** All that the search looks at, put together once for each model. */
function textOf(model: CatalogModel): string {
  let text = texts.get(model);
  if (text === undefined) {
    const tags = model.tags.map((tag) => tag.name);
    const words = [
      model.name,
      model.description,
      model.publisher,
      ...model.categories,
      ...model.capabilities,
      ...tags,
    ];
    text = words.join(" ").toLowerCase();
    texts.set(model, text);
  }
  return text;
}

/** The categories in use, the common ones first. */
export function categoriesOf(models: readonly CatalogModel[]): string[] {
  const counts = new Map<string, number>();
  for (const category of models.flatMap((model) => model.categories)) {
    counts.set(category, (counts.get(category) ?? 0) + 1);
  }
  return [...counts]
    .sort(([one, many], [other, more]) => more - many || one.localeCompare(other))
    .map(([name]) => name);
}
