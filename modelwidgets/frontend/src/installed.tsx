import { useCallback, useMemo, useRef, useState } from "preact/hooks";

import { type Column, byName, byNumber, byText, numberColumn, textColumn } from "./columns";
import { fitColumns } from "./fit";
import * as format from "./format";
import { isActive, tell, useCommand, useNow, useOff, useOptions, usePull, useSlice } from "./hooks";
import type { CallError, Host, Off } from "./host";
import { Known, Later } from "./laterpart";
import { useLook } from "./look";
import { LookMenu } from "./lookmenu";
import { familyKey } from "./names";
import { Badge, Button, Empty, Name } from "./parts";
import { Bar, PullError } from "./pull";
import type { CatalogModel, FitMark, FitMarks, InstalledModel, RunningModel } from "./records";
import { SearchBox, useSearch } from "./searchbox";
import { useSelection } from "./selection";
import { sharingRows } from "./sharing";
import { useShowModel } from "./showing";
import * as say from "./strings";
import { Table } from "./table";

/** An installed model with all that its row shows. */
interface Row {
  model: InstalledModel;
  modifiedAt: number | null;
  inMemory: RunningModel | undefined;
  /** What the catalog knows of its family. */
  family: CatalogModel | undefined;
  /** Whether it fits. */
  mark: FitMark | undefined;
  /** Why its buttons are off. */
  off: Off | null;
}

/** What the open row shows. */
type Panel = { name: string } & ({ shows: "details" | "deletion" } | { shows: "error"; error: CallError });

/** The models on disk. */
export function Installed({ host, onBrowse }: { host: Host; onBrowse?: (() => void) | undefined }) {
  const slice = useSlice(host, "installed");
  const running = useSlice(host, "running");
  const service = useSlice(host, "service");
  const off = useOff(host);
  const { selected } = useOptions(host);
  const [query, setQuery] = useState("");
  const [panel, setPanel] = useState<Panel | null>(null);
  const families = useFamilies(host);
  const fits = useSlice(host, "fits");
  const earlier = useRef<readonly Row[]>([]);
  const rows = useMemo(() => {
    const fresh = rowsOf(slice.models, { running, deleting: slice.deleting, off, families, fits });
    return (earlier.current = byName(sharingRows(earlier.current, fresh), keyOf));
  }, [slice, running, off, families, fits]);
  const searched = useSearch(host, query, rows, modelOf, familyOf);
  const found = searched.rows;
  const now = useNow();
  const columns = useMemo(() => columnsOf(host, now, fits, setPanel), [host, now, fits]);
  const look = useLook(host, "installed", columns, FIRST_SORT);
  const selection = useSelection(host, "installed", rows, keyOf);
  const toggle = useCallback(
    (name: string) => {
      setPanel((panel) => (panel?.name === name ? null : { name, shows: "details" }));
      tell(host, "select", { name });
    },
    [host],
  );
  const show = (name: string) => {
    setQuery("");
    setPanel({ name, shows: "details" });
    tell(host, "select", { name });
  };
  useShowModel(host, show, true);
  const draw = (row: Row) => panel && <RowPanel panel={panel} row={row} host={host} show={setPanel} />;

  if (slice.models.length === 0) {
    if (service?.state !== "running") return <Empty text={say.noListYet} />;
    if (slice.as_of === null) return <Empty text={say.loadingModels} />;
    return (
      <Empty text={say.noModels}>
        {onBrowse && (
          <Button kind="main" onClick={onBrowse}>
            {say.browseCatalog}
          </Button>
        )}
      </Empty>
    );
  }
  return (
    <>
      <div class="mw-tools">
        <SearchBox label={say.searchInstalled} value={query} onInput={setQuery} searched={searched} />
        {found.length < rows.length && (
          <span class="mw-muted">{say.shown(format.integer(found.length), format.integer(rows.length))}</span>
        )}
        <LookMenu look={look} table={say.installed} host={host} />
      </div>
      {found.length > 0 ? (
        <Table
          label={say.installed}
          host={host}
          look={look}
          rows={found}
          question={query}
          keyOf={keyOf}
          selection={selection}
          open={panel?.name ?? null}
          onToggle={toggle}
          panel={draw}
          current={selected}
          dim={isOff}
        />
      ) : (
        <Empty text={say.noHits(format.name(query))} hint={say.searchHint}>
          <Button onClick={() => setQuery("")}>{say.clearFilter}</Button>
        </Empty>
      )}
      <Later
        host={host}
        wanted={selection.keys.size > 0}
        draw={({ BulkBar }) => (
          <BulkBar
            host={host}
            selection={selection}
            hidden={selection.keys.size - found.filter((row) => selection.keys.has(keyOf(row))).length}
            names={rows.map(keyOf).filter((name) => selection.keys.has(name))}
            pullLabel={say.pullAgain}
            deletes
          >
            {say.inAllBytes(format.disk(sizeOf(rows, selection.keys)))}
          </BulkBar>
        )}
      />
    </>
  );
}

const DELETING: Off = { mark: say.deleting, reason: say.deleting };
const keyOf = (row: Row) => row.model.name;
const modelOf = (row: Row) => row.model;
const familyOf = (row: Row) => row.family;
const isOff = (row: Row) => row.off !== null;

const FIRST_SORT = { column: "changed", down: true };

interface Surroundings {
  running: readonly RunningModel[];
  deleting: readonly string[];
  off: Off | null;
  families: ReadonlyMap<string, CatalogModel>;
  fits: FitMarks | null;
}

function rowsOf(models: readonly InstalledModel[], { running, deleting, off, families, fits }: Surroundings): Row[] {
  const inMemory = new Map(running.map((model) => [model.name, model]));
  return models.map((model) => ({
    model,
    modifiedAt: model.modified_at === null ? null : Date.parse(model.modified_at),
    inMemory: inMemory.get(model.name),
    family: families.get(familyKey(model.name)),
    mark: fits?.marks[model.name],
    off: deleting.includes(model.name) ? DELETING : off,
  }));
}

function useFamilies(host: Host): ReadonlyMap<string, CatalogModel> {
  const catalog = useSlice(host, "catalog");
  return useMemo(() => new Map(catalog?.models.map((model) => [familyKey(model.name), model])), [catalog]);
}

function sizeOf(rows: readonly Row[], names: ReadonlySet<string>): number {
  return rows.reduce((sum, { model }) => sum + (names.has(model.name) ? model.size_bytes : 0), 0);
}

function columnsOf(
  host: Host,
  now: number,
  fits: FitMarks | null,
  show: (panel: Panel | null) => void,
): Column<Row>[] {
  const [fit, memory] = fitColumns<Row>(fits, ({ mark }) => mark);
  return [
    { id: "name", title: say.name, cell: (row) => <Title row={row} />, order: byText(keyOf) },
    {
      id: "parameters",
      widthPx: 84,
      title: say.parameters,
      align: "right",
      cell: ({ model }) => format.parameters(model.parameter_size) || say.none,
      order: byNumber(({ model }) => model.parameters),
      largestFirst: true,
    },
    {
      id: "quantization",
      widthPx: 98,
      title: say.quantization,
      cell: ({ model }) => model.quantization || say.none,
      order: byText(({ model }) => model.quantization),
    },
    {
      id: "size",
      widthPx: 72,
      title: say.size,
      align: "right",
      cell: ({ model }) => (model.remote_host ? say.none : format.disk(model.size_bytes)),
      order: byNumber(({ model }) => model.size_bytes),
      largestFirst: true,
    },
    fit,
    {
      id: "changed",
      widthPx: 108,
      title: say.changed,
      cell: ({ model }) => <Changed iso={model.modified_at} now={now} />,
      order: byNumber((row) => row.modifiedAt),
      largestFirst: true,
    },
    memory,
    numberColumn<Row>("context", say.context, 80, ({ model }) => model.max_context_length, format.tokens, true),
    textColumn<Row>("capabilities", say.capabilities, 170, ({ model }) => (model.capabilities ?? []).join(", ")),
    textColumn<Row>("family", say.family, 100, ({ model }) => model.family),
    textColumn<Row>("format", say.format, 80, ({ model }) => model.format),
    textColumn<Row>("publisher", say.publisher, 120, ({ family }) => family?.publisher ?? ""),
    textColumn<Row>("license", say.license, 150, ({ family }) => family?.license ?? ""),
    {
      ...textColumn<Row>("digest", say.digest, 120, ({ model }) => model.digest),
      cell: ({ model }) => <code title={model.digest}>{format.shortDigest(model.digest) || say.none}</code>,
    },
    {
      id: "actions",
      widthPx: 150,
      title: say.actions,
      quiet: true,
      align: "right",
      cell: (row, tabIndex) => <RowActions row={row} host={host} show={show} tabIndex={tabIndex} />,
    },
  ];
}

function Title({ row: { model, inMemory, off } }: { row: Row }) {
  return (
    <>
      <Name name={model.name} />
      <span class="mw-marks">
        {off && (
          <Badge tone="warn" title={off.reason}>
            {off.mark}
          </Badge>
        )}
        {inMemory && !off && (
          <Badge tone="ok" title={format.memory(inMemory.size_bytes)}>
            {say.inMemory}
          </Badge>
        )}
        {model.remote_host && <Badge title={say.cloudOf(model.remote_host)}>{say.cloud}</Badge>}
      </span>
      <span class="mw-badges">
        <Capabilities of={model.capabilities ?? []} />
      </span>
    </>
  );
}

/** What a model can do beyond completing text, which nearly all can. */
export function Capabilities({ of }: { of: readonly string[] }) {
  return (
    <>
      {of
        .filter((one) => one !== "completion")
        .map((one) => (
          <Badge key={one}>{one}</Badge>
        ))}
    </>
  );
}

function Changed({ iso, now }: { iso: string | null; now: number }) {
  if (iso === null) return <>{say.none}</>;
  return (
    <time class="mw-muted" dateTime={iso} title={format.date(iso)}>
      {format.relative(iso, now)}
    </time>
  );
}

interface RowActionsProps {
  row: Row;
  host: Host;
  show: (panel: Panel | null) => void;
  kind?: "plain" | "quiet";
  tabIndex?: number;
}

/** Pull again (or the bar of that pull) and Delete: in the row where there is room, and in its details. */
function RowActions({ row, host, show, kind = "quiet", tabIndex = 0 }: RowActionsProps) {
  const { name } = row.model;
  const shown = format.name(name);
  const pull = usePull(host, name);
  const command = useCommand(host);
  const again = async () => {
    const answer = await command.run("pull", { name });
    if (answer && "error" in answer) show({ name, shows: "error", error: answer.error });
  };
  const remove = () => show({ name, shows: "deletion" });
  const look = { kind, off: row.off, tabIndex };
  return (
    <span class="mw-actions">
      {pull && isActive(pull) ? (
        <Bar pull={pull} />
      ) : (
        <Button {...look} label={`${say.pullAgain}: ${shown}`} busy={command.busy} onClick={again}>
          {command.busy ? say.pulling : say.pullAgain}
        </Button>
      )}
      <Button {...look} label={`${say.deleteIt}: ${shown}`} onClick={remove}>
        {say.deleteIt}
      </Button>
    </span>
  );
}

function RowPanel({
  panel,
  row,
  host,
  show,
}: {
  panel: Panel;
  row: Row;
  host: Host;
  show: (panel: Panel | null) => void;
}) {
  const { name } = row.model;
  const close = () => show(null);
  if (panel.shows === "deletion") {
    return <Later host={host} draw={({ Deletion }) => <Deletion name={name} host={host} onClose={close} />} />;
  }
  if (panel.shows === "error") {
    return (
      <PullError error={panel.error} name={name} host={host} onDone={close}>
        <Button onClick={close}>{say.close}</Button>
      </PullError>
    );
  }
  const actions = <RowActions row={row} host={host} show={show} kind="plain" />;
  return (
    <Later
      host={host}
      draw={({ Details }) => (
        <Details key={row.model.digest} name={name} host={host}>
          {actions}
        </Details>
      )}
    >
      {row.family && <p class="mw-text">{format.prose(row.family.description)}</p>}
      <div class="mw-actions">{actions}</div>
      <Known facts={factsOf(row.model)} />
    </Later>
  );
}

/** What the list tells of a model, for the time without its details. */
function factsOf(model: InstalledModel): [string, string][] {
  const context = model.max_context_length;
  return [
    [say.size, model.remote_host ? "" : format.disk(model.size_bytes)],
    [say.parameters, format.parameters(model.parameter_size)],
    [say.quantization, model.quantization],
    [say.context, context === null ? "" : say.tokensLong(format.integer(context))],
    [say.capabilities, (model.capabilities ?? []).join(", ")],
    [say.digest, model.digest],
  ];
}
