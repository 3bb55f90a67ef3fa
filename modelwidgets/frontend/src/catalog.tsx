import type { ComponentChildren } from "preact";
import { useCallback, useMemo, useRef, useState } from "preact/hooks";

import { Chips } from "./chips";
import { type Column, byName, byNumber, byText, numberColumn, textColumn } from "./columns";
import { AddEntry } from "./entry";
import { recommendedOf } from "./families";
import { fitColumns } from "./fit";
import * as format from "./format";
import { useConnection, useSlice } from "./hooks";
import type { Host } from "./host";
import { Capabilities } from "./installed";
import { Known, Later } from "./laterpart";
import { useLook } from "./look";
import { LookMenu } from "./lookmenu";
import { familyKey, parseName, tagOf } from "./names";
import { Badge, Button, CommandButton, Empty, Fold, Name } from "./parts";
import type { CatalogModel, CatalogSlice, CatalogTag, FitMark, FitMarks, InstalledModel } from "./records";
import type { Found } from "./search";
import { SearchBox, useSearch } from "./searchbox";
import { type Selection, useSelection } from "./selection";
import { sharingRows } from "./sharing";
import * as say from "./strings";
import { Table } from "./table";

/** A family of the catalog with what of it is installed. */
interface Row {
  model: CatalogModel;
  /** Tags of it that are installed, in words; empty where none is. */
  installed: string;
  /** Whether its recommended tag fits. */
  mark: FitMark | undefined;
}

/** What could be pulled, by category and search; a family opens to its tags. */
export function Catalog({ host }: { host: Host }) {
  const catalog = useSlice(host, "catalog");
  const { models } = useSlice(host, "installed");
  const fits = useSlice(host, "fits");
  const connection = useConnection(host);
  const [query, setQuery] = useState("");
  const [category, setCategory] = useState<string | null>(null);
  const [open, setOpen] = useState<string | null>(null);
  const earlier = useRef<readonly Row[]>([]);
  const rows = useMemo(
    () => (earlier.current = sharingRows(earlier.current, catalog ? rowsOf(catalog.models, models, fits) : [])),
    [catalog, models, fits],
  );
  const selection = useSelection(host, "catalog", rows, keyOf);
  const toggle = useCallback((name: string) => setOpen((open) => (open === name ? null : name)), []);
  const categories = useMemo(() => (catalog ? categoriesOf(catalog.models) : []), [catalog]);
  const chips = [[say.all, null] as const, ...categories.map((one) => [one, one] as const)];
  const chosen = useMemo(
    () => rows.filter(({ model }) => category === null || model.categories.includes(category)),
    [rows, category],
  );
  const searched = useSearch(host, query, chosen, modelOf);
  const found = searched.rows;
  const columns = useMemo(() => columnsOf(searched.matching, fits), [searched.matching, fits]);
  const look = useLook(host, "catalog", columns, FIRST_SORT);

  if (catalog === null) {
    return <Empty text={connection === "lost" ? host.lost.reason : say.loadingCatalog} />;
  }
  const clear = () => {
    setQuery("");
    setCategory(null);
  };
  const find = (name: string) => {
    setCategory(null);
    setQuery(name);
  };
  const form = { categories, host, onFind: find };
  return (
    <>
      <div class="mw-tools">
        <SearchBox label={say.searchCatalog} value={query} onInput={setQuery} searched={searched} />
        {found.length < rows.length && (
          <span class="mw-muted">{say.shown(format.integer(found.length), format.integer(rows.length))}</span>
        )}
        <LookMenu look={look} table={say.catalog} host={host} />
      </div>
      <Chips label={say.categories} choices={chips} chosen={category} onChoose={setCategory} />
      {found.length > 0 ? (
        <Table
          label={say.catalog}
          host={host}
          look={look}
          rows={found}
          question={`${category ?? ""} ${query}`}
          keyOf={keyOf}
          selection={selection}
          open={open}
          onToggle={toggle}
          panel={({ model }) => (
            <Later
              host={host}
              draw={({ Family }) => (
                <Family model={model} host={host} matching={searched.matching.get(model.name)} form={form} />
              )}
            >
              <p class="mw-text">{format.prose(model.description)}</p>
              <Known facts={model.tags.map(({ name, size_bytes }) => [name, size_bytes ? format.disk(size_bytes) : ""])} />
            </Later>
          )}
        />
      ) : (
        <NoHits query={query.trim()} category={category} host={host} onClear={clear} />
      )}
      <MarkedFamilies rows={rows} found={found} selection={selection} host={host} />
      <Foot catalog={catalog} host={host}>
        <AddEntry category={category} {...form} />
      </Foot>
    </>
  );
}

const keyOf = (row: Row) => row.model.name;
const modelOf = (row: Row) => row.model;
const SIZES = 3;
const FIRST_SORT = { column: "popularity", down: true };

const columnsOf = (matching: Found<Row>["matching"], fits: FitMarks | null): Column<Row>[] => {
  const [fit, memory] = fitColumns<Row>(fits, ({ mark }) => mark);
  return [
    { id: "model", title: say.model, cell: (row) => <Model row={row} />, order: byText(keyOf) },
    {
      id: "sizes",
      widthPx: 190,
      title: say.sizes,
      cell: ({ model }) => <Sizes tags={model.tags} matching={matching.get(model.name)} />,
      order: byNumber(({ model }) => smallestBytes(model)),
    },
    {
      id: "download",
      widthPx: 88,
      title: say.download,
      align: "right",
      cell: ({ model }) => <Download tag={recommendedOf(model)} />,
      order: byNumber(({ model }) => recommendedOf(model)?.size_bytes ?? null),
    },
    fit,
    numberColumn<Row>("popularity", say.popularity, 92, ({ model }) => model.pulls, format.count),
    {
      id: "updated",
      widthPx: 90,
      title: say.updated,
      align: "right",
      cell: ({ model }) => <span class="mw-muted">{model.updated ?? say.none}</span>,
      order: byText(({ model }) => model.updated ?? ""),
      largestFirst: true,
    },
    memory,
    numberColumn<Row>("context", say.context, 80, ({ model }) => longestContext(model), format.tokens, true),
    numberColumn<Row>("tags", say.tags, 64, ({ model }) => model.tags.length, format.integer, true),
    textColumn<Row>("categories", say.categories, 150, ({ model }) => model.categories.join(", ")),
    textColumn<Row>("capabilities", say.capabilities, 150, ({ model }) => model.capabilities.join(", ")),
    textColumn<Row>("publisher", say.publisher, 120, ({ model }) => model.publisher ?? ""),
    textColumn<Row>("license", say.license, 150, ({ model }) => model.license ?? ""),
  ];
};

function smallestBytes(model: CatalogModel): number | null {
  const sizes = model.tags.flatMap(({ size_bytes }) => size_bytes ?? []);
  return sizes.length > 0 ? Math.min(...sizes) : null;
}

function longestContext(model: CatalogModel): number | null {
  const lengths = model.tags.flatMap(({ context_length }) => context_length ?? []);
  return lengths.length > 0 ? Math.max(...lengths) : null;
}

/** Size of the tag to take; its name stands in the tooltip. */
function Download({ tag }: { tag: CatalogTag | null }) {
  if (!tag || tag.size_bytes === null) return <span class="mw-muted">{say.unknown}</span>;
  return <span title={format.name(tag.name)}>{format.disk(tag.size_bytes)}</span>;
}

/** What can be done with the marked families: each stands for its recommended tag. */
function MarkedFamilies(props: {
  rows: readonly Row[];
  found: readonly Row[];
  selection: Selection;
  host: Host;
}) {
  const { rows, found, selection, host } = props;
  const isMarked = (row: Row) => selection.keys.has(keyOf(row));
  const tags = useMemo(
    () => rows.filter(isMarked).map(({ model }) => recommendedOf(model) ?? { name: model.name, size_bytes: null }),
    [rows, selection.keys],
  );
  const unknown = tags.filter(({ size_bytes }) => size_bytes === null).length;
  const bytes = tags.reduce((sum, { size_bytes }) => sum + (size_bytes ?? 0), 0);
  return (
    <Later
      host={host}
      wanted={tags.length > 0}
      draw={({ BulkBar }) => (
        <BulkBar
          host={host}
          selection={selection}
          hidden={selection.keys.size - found.filter(isMarked).length}
          names={tags.map(({ name }) => name)}
          pullLabel={say.pullRecommended}
        >
          {say.toPull(format.disk(bytes), unknown)}
        </BulkBar>
      )}
    />
  );
}

function Model({ row: { model, installed } }: { row: Row }) {
  return (
    <span class="mw-model">
      <span class="mw-model-head">
        <b class="mw-ellipsis">
          <Name name={model.name} code={false} />
        </b>
        <span class="mw-marks">
          {installed && <Badge tone="ok">{say.installedTags(installed)}</Badge>}
          {model.custom && <Badge>{say.yours}</Badge>}
        </span>
        <span class="mw-badges">
          <Capabilities of={model.capabilities} />
        </span>
      </span>
      <span class="mw-description mw-muted" title={format.prose(model.description)}>
        {format.prose(model.description)}
      </span>
    </span>
  );
}

/** The first sizes, of those that a search found where it tells them apart; the recommended one stands out. */
function Sizes({ tags, matching = [] }: { tags: readonly CatalogTag[]; matching: readonly string[] | undefined }) {
  const all = sizesOf(tags);
  const those = sizesOf(tags.filter(({ name }) => matching.includes(name)));
  const some = those.length > 0 && those.length < all.length;
  const sizes = some ? those : all;
  return (
    <span class="mw-sizes">
      {sizes.slice(0, some ? SIZES - 1 : SIZES).map(({ label, recommended }) => (
        <span
          key={label}
          class={recommended ? "mw-recommended" : ""}
          title={recommended ? say.recommended : undefined}
        >
          {label}
        </span>
      ))}
      {some ? (
        <span class="mw-muted">{say.sizesMatching(those.length, all.length)}</span>
      ) : (
        sizes.length > SIZES && <span class="mw-muted">{say.more(sizes.length - SIZES)}</span>
      )}
    </span>
  );
}

/** The sizes of some tags, each once, by their labels. */
export function sizesOf(tags: readonly CatalogTag[]): { label: string; recommended: boolean }[] {
  const sizes = new Map<string, boolean>();
  for (const tag of tags) {
    const label = tag.parameters ?? tag.tag;
    sizes.set(label, sizes.get(label) || tag.recommended);
  }
  return [...sizes].map(([label, recommended]) => ({ label, recommended }));
}

/** Nothing found: in the category, in the whole catalog, or nowhere; a name can be looked up then. */
function NoHits(props: { query: string; category: string | null; host: Host; onClear: () => void }) {
  const { query, category, host, onClear } = props;
  if (!query) return <Empty text={category === null ? say.emptyCatalog : say.emptyCategory(category)} />;
  const shown = format.name(query);
  return (
    <>
      <Empty text={parseName(query) ? say.notInCatalog(shown) : say.noHits(shown)} hint={say.searchHint}>
        {parseName(query) && (
          <Later host={host} draw={({ LookUp }) => <LookUp key={query} name={query} host={host} />} />
        )}
        <Button onClick={onClear}>{say.clearFilter}</Button>
      </Empty>
    </>
  );
}

/** How old the catalog is, what could not be read of it, and how to add to it. */
function Foot({
  catalog,
  host,
  children,
}: {
  catalog: CatalogSlice;
  host: Host;
  children: ComponentChildren;
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
      {children}
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

function rowsOf(
  families: readonly CatalogModel[],
  models: readonly InstalledModel[],
  fits: FitMarks | null,
): Row[] {
  const tags = new Map<string, string[]>();
  for (const { name } of models) {
    const family = familyKey(name);
    tags.set(family, [...(tags.get(family) ?? []), format.name(tagOf(name))]);
  }
  const rows = families.map((model) => ({
    model,
    installed: tags.get(familyKey(model.name))?.join(", ") ?? "",
    mark: fits?.marks[recommendedOf(model)?.name ?? ""],
  }));
  return byName(rows, keyOf);
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
