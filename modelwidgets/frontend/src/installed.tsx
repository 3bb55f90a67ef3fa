import { useMemo, useState } from "preact/hooks";

import { Deletion } from "./deletion";
import { Details } from "./details";
import * as format from "./format";
import { type Off, isActive, tell, useCommand, useNow, useOff, useOptions, usePull, useSlice } from "./hooks";
import type { CallError, Host } from "./host";
import { Badge, Button, Empty, Name, Search } from "./parts";
import { Bar, PullError } from "./pull";
import type { InstalledModel, RunningModel } from "./records";
import { matcher } from "./search";
import { strings as say } from "./strings";
import { type Column, Table, byNumber, byText } from "./table";

/** An installed model with all that its row shows. */
interface Row {
  model: InstalledModel;
  modifiedAt: number | null;
  inMemory: RunningModel | undefined;
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
  const rows = useMemo(() => rowsOf(slice.models, running, slice.deleting, off), [slice, running, off]);
  const found = useMemo(() => {
    const matches = matcher(query);
    return rows.filter(({ model }) => matches(textOf(model)));
  }, [rows, query]);
  const now = useNow();
  const columns = useMemo(() => columnsOf(host, now, setPanel), [host, now]);
  const toggle = (name: string) => {
    setPanel(panel?.name === name ? null : { name, shows: "details" });
    tell(host, "select", { name });
  };
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
        <Search label={say.searchInstalled} value={query} onInput={setQuery} />
        {found.length < rows.length && (
          <span class="mw-muted">{say.shown(format.integer(found.length), format.integer(rows.length))}</span>
        )}
      </div>
      {found.length > 0 ? (
        <Table
          label={say.installed}
          columns={columns}
          rows={found}
          keyOf={keyOf}
          firstSort={{ column: "changed", down: true }}
          open={panel?.name ?? null}
          onToggle={toggle}
          panel={draw}
          selected={selected}
          dim={isOff}
        />
      ) : (
        <Empty text={say.noHits(query)}>
          <Button onClick={() => setQuery("")}>{say.clearFilter}</Button>
        </Empty>
      )}
    </>
  );
}

const DELETING: Off = { mark: say.deleting, reason: say.deleting };
const keyOf = (row: Row) => row.model.name;
const isOff = (row: Row) => row.off !== null;

function rowsOf(
  models: readonly InstalledModel[],
  running: readonly RunningModel[],
  deleting: readonly string[],
  off: Off | null,
): Row[] {
  const inMemory = new Map(running.map((model) => [model.name, model]));
  return models.map((model) => ({
    model,
    modifiedAt: model.modified_at === null ? null : Date.parse(model.modified_at),
    inMemory: inMemory.get(model.name),
    off: deleting.includes(model.name) ? DELETING : off,
  }));
}

function textOf(model: InstalledModel): string {
  return [model.name, model.family, model.quantization, model.parameter_size, ...(model.capabilities ?? [])]
    .join(" ")
    .toLowerCase();
}

function columnsOf(host: Host, now: number, show: (panel: Panel | null) => void): Column<Row>[] {
  return [
    { id: "name", title: say.name, cell: (row) => <Title row={row} />, order: byText(keyOf) },
    {
      id: "parameters",
      title: say.parameters,
      align: "right",
      cell: ({ model }) => format.parameters(model.parameter_size) || say.none,
      order: byNumber(({ model }) => model.parameters),
      largestFirst: true,
    },
    {
      id: "quantization",
      title: say.quantization,
      cell: ({ model }) => model.quantization || say.none,
      order: byText(({ model }) => model.quantization),
    },
    {
      id: "size",
      title: say.size,
      align: "right",
      cell: ({ model }) => (model.remote_host ? say.none : format.disk(model.size_bytes)),
      order: byNumber(({ model }) => model.size_bytes),
      largestFirst: true,
    },
    {
      id: "changed",
      title: say.changed,
      cell: ({ model }) => <Changed iso={model.modified_at} now={now} />,
      order: byNumber((row) => row.modifiedAt),
      largestFirst: true,
    },
    {
      id: "actions",
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
        <Button {...look} label={`${say.pullAgain}: ${name}`} busy={command.busy} onClick={again}>
          {command.busy ? say.pulling : say.pullAgain}
        </Button>
      )}
      <Button {...look} label={`${say.delete}: ${name}`} onClick={remove}>
        {say.delete}
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
  if (panel.shows === "deletion") return <Deletion name={name} host={host} onClose={close} />;
  if (panel.shows === "error") {
    return (
      <PullError error={panel.error} name={name} host={host} onDone={close}>
        <Button onClick={close}>{say.close}</Button>
      </PullError>
    );
  }
  return (
    <Details key={row.model.digest} name={name} host={host}>
      <RowActions row={row} host={host} show={show} kind="plain" />
    </Details>
  );
}
