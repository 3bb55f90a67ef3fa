import type { ComponentChildren } from "preact";
import { useCallback, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";

import { useAnchor } from "./anchor";
import { type Column, type Sort, sorted } from "./columns";
import { focusedIn } from "./focus";
import type { Host } from "./host";
import { Down, Up } from "./icons";
import type { Looks } from "./look";
import { TableRow } from "./row";
import type { Selection } from "./selection";
import * as say from "./strings";
import { type OpenRow, pieces, visibleRange } from "./window";

export interface TableProps<Row> {
  label: string;
  host: Host;
  look: Looks<Row>;
  /** In the order of their names. */
  rows: readonly Row[];
  /** What these rows are the answer to: another question is shown from its top. */
  question: string;
  keyOf: (row: Row) => string;
  selection: Selection;
  /** Key of the row that shows its panel. */
  open: string | null;
  onToggle: (key: string) => void;
  panel: (row: Row) => ComponentChildren;
  /** Key of the row that Python chose or that was last opened. */
  current?: string;
  dim?: (row: Row) => boolean;
}

const GUESSED_ROW_PX = 33;
const GUESSED_HEIGHT_PX = 480;
/** The window moves in steps of this many rows. */
const STEP = 4;
const PAGE = 10;
const CHECK_PX = 34;
const FIRST_PX = 240;

/**
 * A table of any length: sorted by its titles, walked through with the arrow keys, one row open at a
 * time, any of them marked. Only the rows around the visible ones exist, and the focused and the open
 * one, so that neither focus nor what somebody typed gets lost by scrolling.
 */
export function Table<Row>(props: TableProps<Row>) {
  const { keyOf, open, panel, onToggle, look, selection } = props;
  const { shown: columns, sort } = look;
  const rows = useMemo(
    () =>
      sorted(
        props.rows,
        look.all.find((column) => column.id === sort.column),
        sort.down,
      ),
    // The columns are made anew twice a minute; what they sort by stays the same.
    [props.rows, sort.column, sort.down],
  );
  const [active, setActive] = useState<string | null>(null);
  const activeIndex = active === null ? -1 : rows.findIndex((row) => keyOf(row) === active);
  const openIndex = open === null ? -1 : rows.findIndex((row) => keyOf(row) === open);
  const scroller = useRef<HTMLDivElement>(null);
  const view = useWindow(scroller, props.host.memory, props.label, rows.length, openIndex, look);
  const scope = `${sort.column} ${sort.down} ${props.question}`;
  const anchorIndex = useAnchor(scroller, rows, scope, keyOf, view.onScroll);
  const focusRow = useFocus(scroller, rows.length, activeIndex);
  const tabbable = activeIndex >= 0 ? activeIndex : view.range[0];
  const latest = useRef(rows);
  latest.current = rows;
  const { actions } = selection;
  const mark = useCallback(
    (key: string, range: boolean, from = key) => {
      if (range) actions.extend(key, from, latest.current.map(keyOf));
      else actions.toggle(key);
    },
    [actions, keyOf],
  );

  const go = (index: number, extend: boolean) => {
    const row = rows[Math.min(Math.max(index, 0), rows.length - 1)];
    if (row === undefined) return;
    if (extend) mark(keyOf(row), true, active ?? keyOf(row));
    setActive(keyOf(row));
    focusRow(rows.indexOf(row));
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const target = event.target as HTMLElement;
    const inRow = target.closest("[data-index]") !== null;
    const onRow = target.dataset["index"] !== undefined || target.closest(".mw-cell-check") !== null;
    const all = event.key === "a" && (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey;
    const to = active === null ? undefined : STEPS[event.key]?.(activeIndex, rows.length);
    if (all) {
      if (!onRow) return;
      actions.toggleAll(rows.map(keyOf));
    } else if (event.ctrlKey || event.metaKey || event.altKey) return;
    else if (event.key === "Escape" && openIndex >= 0) {
      onToggle(open as string);
      go(openIndex, false);
    } else if (!inRow || active === null || !(onRow || ROW_KEYS.has(event.key))) return;
    else if (to !== undefined) go(to, event.shiftKey);
    else if (event.key === "Escape" && selection.keys.size > 0) actions.clear();
    // A focused checkbox answers to the space bar by itself.
    else if (event.key === " " && target.tagName !== "INPUT") mark(active, event.shiftKey);
    else if (event.key === "Enter") onToggle(active);
    else if (event.key === "ArrowRight" && openIndex !== activeIndex) onToggle(active);
    else if (event.key === "ArrowLeft" && openIndex === activeIndex) onToggle(active);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  return (
    <div
      class={`mw-scroll${openIndex >= 0 ? " mw-scroll-open" : ""}${look.compact ? " mw-compact" : ""}`}
      ref={scroller}
      onScroll={view.onScroll}
    >
      <table
        class="mw-table"
        role="grid"
        aria-label={props.label}
        aria-rowcount={rows.length + 1}
        aria-multiselectable="true"
        style={{ "--mw-least": `${leastPx(columns)}px` }}
        onKeyDown={onKeyDown}
      >
        <colgroup>
          <col class="mw-col-check" />
          {columns.map(({ id, widthPx }) => (
            <col key={id} style={widthPx ? { width: `${widthPx}px` } : {}} />
          ))}
        </colgroup>
        <thead role="rowgroup">
          <tr role="row" aria-rowindex={1}>
            <MarkAll rows={rows} keyOf={keyOf} selection={selection} />
            {columns.map((column) => (
              <Title
                key={column.id}
                column={column}
                sort={sort}
                onSort={(next) => look.change({ sort: next })}
              />
            ))}
          </tr>
        </thead>
        <tbody role="rowgroup">
          {/* Flat, because only siblings of one list keep their elements when the window moves. */}
          {pieces(view.range, [activeIndex, openIndex, anchorIndex], rows.length).flatMap((piece) => {
            if ("gap" in piece) {
              return (
                <tr key={`gap before ${piece.before}`} class="mw-gap" aria-hidden="true">
                  <td colSpan={columns.length + 1} style={{ height: `${piece.gap * view.rowHeightPx}px` }} />
                </tr>
              );
            }
            const row = rows[piece.row] as Row;
            const key = keyOf(row);
            const isOpen = piece.row === openIndex;
            return [
              <TableRow
                key={key}
                id={key}
                row={row}
                columns={columns}
                index={piece.row}
                open={isOpen}
                tabbable={piece.row === tabbable}
                marked={selection.keys.has(key)}
                current={props.current === key}
                dim={props.dim?.(row) ?? false}
                onToggle={onToggle}
                onMark={mark}
                onFocus={setActive}
              />,
              isOpen && (
                <tr
                  key={`panel of ${key}`}
                  role="row"
                  class="mw-panel"
                  ref={view.panelRef}
                  onFocusIn={() => setActive(key)}
                >
                  <td role="gridcell" colSpan={columns.length + 1}>
                    {panel(row)}
                  </td>
                </tr>
              ),
            ];
          })}
        </tbody>
      </table>
    </div>
  );
}

/** Keys that move also while a button of the row has the focus. */
const ROW_KEYS = new Set(["ArrowDown", "ArrowUp", "PageDown", "PageUp"]);

/** Where a key leads from a row. */
const STEPS: Record<string, (index: number, rowCount: number) => number> = {
  ArrowDown: (index) => index + 1,
  ArrowUp: (index) => index - 1,
  PageDown: (index) => index + PAGE,
  PageUp: (index) => index - PAGE,
  Home: () => 0,
  End: (_index, rowCount) => rowCount - 1,
};

/** The width below which a table scrolls sideways, so that its first column stays readable. */
function leastPx<Row>(columns: readonly Column<Row>[]): number {
  return columns.reduce((sum, { widthPx }) => sum + (widthPx ?? FIRST_PX), CHECK_PX);
}

/** Marks all rows that the filter leaves, or none. */
function MarkAll<Row>(props: {
  rows: readonly Row[];
  keyOf: (row: Row) => string;
  selection: Selection;
}) {
  const { rows, keyOf, selection } = props;
  const count = useMemo(
    () => rows.reduce((sum, row) => sum + (selection.keys.has(keyOf(row)) ? 1 : 0), 0),
    [rows, selection.keys],
  );
  return (
    <th role="columnheader" scope="col" class="mw-cell-check">
      <label>
        <input
          type="checkbox"
          aria-label={say.markAll}
          checked={count > 0 && count === rows.length}
          indeterminate={count > 0 && count < rows.length}
          onClick={() => selection.actions.toggleAll(rows.map(keyOf))}
        />
      </label>
    </th>
  );
}

function Title<Row>({
  column,
  sort,
  onSort,
}: {
  column: Column<Row>;
  sort: Sort;
  onSort: (sort: Sort) => void;
}) {
  const sorts = sort.column === column.id;
  const next = { column: column.id, down: sorts ? !sort.down : (column.largestFirst ?? false) };
  return (
    <th
      role="columnheader"
      scope="col"
      class={`mw-cell-${column.id}${column.align ? " mw-right" : ""}`}
      {...(sorts ? { "aria-sort": sort.down ? ("descending" as const) : ("ascending" as const) } : {})}
    >
      {column.order ? (
        <button type="button" class="mw-sort" title={say.sortBy(column.title)} onClick={() => onSort(next)}>
          {column.title}
          {sorts && (sort.down ? <Down /> : <Up />)}
        </button>
      ) : (
        <span class={column.quiet ? "mw-spoken" : ""}>{column.title}</span>
      )}
    </th>
  );
}

function useWindow(
  scroller: { current: HTMLDivElement | null },
  memory: Map<string, unknown>,
  label: string,
  rowCount: number,
  openIndex: number,
  look: Pick<Looks<never>, "shown" | "compact">,
) {
  const key = `${label} scroll`;
  const lastTopPx = useRef((memory.get(key) as number | undefined) ?? 0);
  const [rowHeightPx, setRowHeightPx] = useState(GUESSED_ROW_PX);
  const [topRow, setTopRow] = useState(() => rowStep(lastTopPx.current, rowHeightPx));
  const [heightPx, setHeightPx] = useState(GUESSED_HEIGHT_PX);
  const [panelHeightPx, setPanelHeightPx] = useState(0);
  const panelRef = useRef<HTMLTableRowElement>(null);
  const open: OpenRow | null = openIndex < 0 ? null : { index: openIndex, heightPx: panelHeightPx };

  useLayoutEffect(() => {
    const box = scroller.current;
    if (!box) return;
    let wasHidden = true;
    const measure = () => {
      const row = box.querySelector<HTMLElement>("[data-index]");
      if (row && row.offsetHeight > 0) setRowHeightPx(row.offsetHeight);
      if (box.clientHeight > 0) setHeightPx(box.clientHeight);
      setPanelHeightPx(panelRef.current?.offsetHeight ?? 0);
      // What is hidden loses its scroll, as that of another tab in some browsers.
      if (wasHidden && box.clientHeight > 0) box.scrollTop = lastTopPx.current;
      wasHidden = box.clientHeight === 0;
    };
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(box);
    if (panelRef.current) observer.observe(panelRef.current);
    return () => observer.disconnect();
  }, [rowCount > 0, openIndex, look.shown.length, look.compact]);

  useLayoutEffect(() => {
    const [box, panel] = [scroller.current, panelRef.current];
    if (box && panel) reveal(box, panel);
  }, [openIndex]);

  const onScroll = () => {
    const box = scroller.current;
    if (!box || box.clientHeight === 0) return;
    lastTopPx.current = box.scrollTop;
    memory.set(key, box.scrollTop);
    setTopRow(rowStep(box.scrollTop, rowHeightPx));
  };
  const range = visibleRange(
    topRow * rowHeightPx,
    heightPx + STEP * rowHeightPx,
    rowCount,
    rowHeightPx,
    open,
  );
  return { range, rowHeightPx, panelRef, onScroll };
}

function rowStep(scrollTopPx: number, rowHeightPx: number): number {
  return Math.floor(scrollTopPx / rowHeightPx / STEP) * STEP;
}

/** Scroll the table so that what has just opened is seen, its row included. */
function reveal(box: HTMLElement, panel: HTMLElement): void {
  const row = panel.previousElementSibling ?? panel;
  const [outer, inner] = [box.getBoundingClientRect(), panel.getBoundingClientRect()];
  const hidden = inner.bottom - outer.bottom;
  const header = box.querySelector("thead")?.offsetHeight ?? 0;
  const spare = row.getBoundingClientRect().top - outer.top - header;
  if (spare < 0) box.scrollTop += spare;
  else if (hidden > 0) box.scrollTop += Math.min(hidden, spare);
}

/**
 * Answers a function that moves the focus to a row, once that row is drawn. Also moves it when the
 * focused part of the table has gone (its row was deleted, its panel closed): to the row in its place.
 */
function useFocus(
  scroller: { current: HTMLDivElement | null },
  rowCount: number,
  activeIndex: number,
): (index: number) => void {
  const wanted = useRef<number | null>(null);
  const lastIndex = useRef(0);
  const hadFocus = focusedIn(scroller.current) !== null;
  const focus = (index: number) => {
    const row = scroller.current?.querySelector<HTMLElement>(`[data-index="${index}"]`);
    row?.focus();
    return row !== null;
  };
  useLayoutEffect(() => {
    if (activeIndex >= 0) lastIndex.current = activeIndex;
    if (wanted.current !== null) {
      focus(wanted.current);
      wanted.current = null;
    } else if (hadFocus && !focusedIn(scroller.current)) {
      focus(Math.min(lastIndex.current, rowCount - 1));
    }
  });
  return (index) => {
    wanted.current = focus(index) ? null : index;
  };
}
