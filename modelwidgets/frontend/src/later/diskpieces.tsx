import { useRef, useState } from "preact/hooks";

import { stepOf } from "../focus";
import * as format from "../format";
import type { Host } from "../host";
import { Button } from "../parts";
import type { DiskUsage } from "../records";
import { showModel } from "../showing";
import * as say from "../strings";

export interface Segment {
  kind: "model" | "others" | "shared" | "partial" | "unused" | "free";
  title: string;
  bytes: number;
  /** Its part of the bar; what is free would leave no room for the rest, so it is cut. */
  grow: number;
  /** The model that it leads to. */
  model: string | null;
}

/** The bar of the disk: a model leads to its row. */
export function DiskPieces({ disk, host }: { disk: DiskUsage; host: Host }) {
  const segments = segmentsOf(disk);
  const [active, setActive] = useState(0);
  const [asTable, setAsTable] = useState(false);
  const bar = useRef<HTMLDivElement>(null);
  if (segments.length < 2) return null;
  const models = segments.filter(({ model }) => model !== null).length;
  const current = Math.min(active, models - 1);
  const onKeyDown = (event: KeyboardEvent) => {
    const to = stepOf(event, current, models);
    if (to === null) return;
    const at = Math.max(0, Math.min(to, models - 1));
    setActive(at);
    bar.current?.querySelectorAll("button")[at]?.focus();
  };
  return (
    <>
      <div class="mw-disk-bar" role="group" aria-label={say.diskBar} ref={bar} onKeyDown={onKeyDown}>
        {segments.map((segment, at) => (
          <Piece
            key={`${segment.kind} ${segment.title}`}
            segment={segment}
            tabIndex={at === current ? 0 : -1}
            onClick={() => {
              setActive(at);
              lead(host, segment.model as string, bar.current);
            }}
          />
        ))}
      </div>
      <Button kind="quiet" label={say.diskAsTable} expanded={asTable} onClick={() => setAsTable(!asTable)}>
        {say.asTable}
      </Button>
      {asTable && <Words segments={segments} />}
    </>
  );
}

function Piece(props: { segment: Segment; tabIndex: number; onClick: () => void }) {
  const { kind, title, bytes, grow, model } = props.segment;
  const look = {
    class: `mw-piece mw-piece-${kind}`,
    style: { flexGrow: grow },
    title: `${title}: ${format.disk(bytes)}`,
  };
  if (model === null) {
    return (
      <span {...look} aria-hidden="true">
        {kind !== "free" && <span class="mw-piece-title">{title}</span>}
      </span>
    );
  }
  return (
    <button
      {...look}
      type="button"
      tabIndex={props.tabIndex}
      aria-label={say.showOnDisk(title, format.disk(bytes))}
      onClick={props.onClick}
    >
      <span class="mw-piece-title">{title}</span>
    </button>
  );
}

/** The same in words and numbers: for who does not see the bar, or wants to know it exactly. */
function Words({ segments }: { segments: readonly Segment[] }) {
  return (
    <table class="mw-plain mw-disk-table">
      <caption class="mw-spoken">{say.diskBar}</caption>
      <tbody>
        {segments.map(({ kind, title, bytes }) => (
          <tr key={`${kind} ${title}`}>
            <th scope="row" class="mw-text">
              {title}
            </th>
            <td class="mw-right">{format.disk(bytes)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

const MOST_FREE = 0.3;

/** The parts of the bar, models first; none where bytes would be counted twice. */
export function segmentsOf(disk: DiskUsage): Segment[] {
  if (!disk.exact) return [];
  const parts = [
    ...disk.models.map(({ name, own_bytes }) => ({
      kind: "model" as const,
      title: format.name(name),
      bytes: own_bytes,
      model: name,
    })),
    { kind: "others" as const, title: say.otherModels(disk.other_models), bytes: disk.other_bytes, model: null },
    { kind: "shared" as const, title: say.sharedBytes, bytes: disk.shared_bytes ?? 0, model: null },
    { kind: "partial" as const, title: say.partialBytes, bytes: disk.partial_bytes ?? 0, model: null },
    { kind: "unused" as const, title: say.unusedBytes, bytes: disk.unused_bytes ?? 0, model: null },
  ].filter(({ bytes }) => bytes > 0);
  const used = parts.reduce((sum, { bytes }) => sum + bytes, 0);
  if (used === 0) return [];
  const free = disk.free_bytes ?? 0;
  const segments: Segment[] = parts.map((part) => ({ ...part, grow: part.bytes / used }));
  if (free === 0) return segments;
  const title = free > used * MOST_FREE ? say.freeNotToScale : say.freeBytes;
  return [...segments, { kind: "free", title, bytes: free, grow: Math.min(free / used, MOST_FREE), model: null }];
}

/** Show a model and put the focus on its row, once that is drawn. */
function lead(host: Host, name: string, from: HTMLElement | null): void {
  showModel(host, name);
  const view = from?.closest(".mw");
  const drawn = () => view?.querySelector<HTMLElement>("[role=tabpanel]:not([hidden]) .mw-row-open")?.focus();
  requestAnimationFrame(() => requestAnimationFrame(drawn));
}
