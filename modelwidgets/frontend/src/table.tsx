import type { ComponentChildren, VNode } from "preact";
import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";

import { Chevron, Down, Up } from "./icons";
import { memo } from "./memo";
import { strings as say } from "./strings";
import { type OpenRow, pieces, visibleRange } from "./window";

export interface Column<Row> {
  id: string;
  title: string;
  align?: "right";
  /** Draws a cell; what can be focused in it takes the `tabIndex`. */
  cell: (row: Row, tabIndex: number) => ComponentChildren;
  /** How rows compare; a column without it cannot be sorted. */
  order?: (one: Row, other: Row) => number;
  /** Its title is only for screen readers. */
  quiet?: boolean;
  /** The first click on its title puts the largest first. */
  largestFirst?: boolean;
}

export interface Sort {
  column: string;
  down: boolean;
}

export interface TableProps<Row> {
  label: string;
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  keyOf: (row: Row) => string;
  firstSort: Sort;
  /** Key of the row that shows its panel. */
  open: string | null;
  onToggle: (key: string) => void;
  panel: (row: Row) => ComponentChildren;
  selected?: string;
  dim?: (row: Row) => boolean;
}

const names = new Intl.Collator(undefined, { numeric: true });
const GUESSED_ROW_PX = 33;
const GUESSED_HEIGHT_PX = 480;
/** The window moves in steps of this many rows. */
const STEP = 4;
const PAGE = 10;

/**
 * A table of any length: sorted by its titles, walked through with the arrow keys, one row open at a
 * time. Only the rows around the visible ones exist, and the focused and the open one, so that
 * neither focus nor what somebody typed gets lost by scrolling.
 */
export function Table<Row>(props: TableProps<Row>) {
  const { columns, keyOf, open, panel, onToggle } = props;
  const [sort, setSort] = useState(props.firstSort);
  const rows = useMemo(
    () =>
      sorted(
        props.rows,
        columns.find((column) => column.id === sort.column),
        sort.down,
        keyOf,
      ),
    [props.rows, sort, columns, keyOf],
  );
  const [active, setActive] = useState<string | null>(null);
  const activeIndex = active === null ? -1 : rows.findIndex((row) => keyOf(row) === active);
  const openIndex = open === null ? -1 : rows.findIndex((row) => keyOf(row) === open);
  const scroller = useRef<HTMLDivElement>(null);
  const view = useWindow(scroller, rows.length, openIndex);
  const focusRow = useFocus(scroller, rows.length, activeIndex);
  const tabbable = activeIndex >= 0 ? activeIndex : view.range[0];

  const go = (index: number) => {
    const row = rows[Math.min(Math.max(index, 0), rows.length - 1)];
    if (row === undefined) return;
    setActive(keyOf(row));
    focusRow(rows.indexOf(row));
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target as HTMLElement;
    const onRow = target.dataset["index"] !== undefined;
    if (event.key === "Escape" && openIndex >= 0) {
      onToggle(open as string);
      go(openIndex);
    } else if (!target.closest("[data-index]") || !(onRow || ROW_KEYS.has(event.key))) {
      return;
    } else if (event.key === "ArrowDown") go(activeIndex + 1);
    else if (event.key === "ArrowUp") go(activeIndex - 1);
    else if (event.key === "PageDown") go(activeIndex + PAGE);
    else if (event.key === "PageUp") go(activeIndex - PAGE);
    else if (event.key === "Home") go(0);
    else if (event.key === "End") go(rows.length - 1);
    else if (event.key === "Enter" || event.key === " ") onToggle(active as string);
    else if (event.key === "ArrowRight" && openIndex !== activeIndex) onToggle(active as string);
    else if (event.key === "ArrowLeft" && openIndex === activeIndex) onToggle(active as string);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  return (
    <div
      class={`mw-scroll${openIndex >= 0 ? " mw-scroll-open" : ""}`}
      ref={scroller}
      onScroll={view.onScroll}
    >
      <table
        class="mw-table"
        role="grid"
        aria-label={props.label}
        aria-rowcount={rows.length + 1}
        onKeyDown={onKeyDown}
      >
        <thead role="rowgroup">
          <tr role="row" aria-rowindex={1}>
            {columns.map((column) => (
              <Title key={column.id} column={column} sort={sort} onSort={setSort} />
            ))}
          </tr>
        </thead>
        <tbody role="rowgroup">
          {/* Flat, because only siblings of one list keep their elements when the window moves. */}
          {pieces(view.range, [activeIndex, openIndex], rows.length).flatMap((piece) => {
            if ("gap" in piece) {
              return (
                <tr key={`gap before ${piece.before}`} class="mw-gap" aria-hidden="true">
                  <td colSpan={columns.length} style={{ height: `${piece.gap * view.rowHeightPx}px` }} />
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
                chosen={props.selected === undefined ? undefined : props.selected === key}
                dim={props.dim?.(row) ?? false}
                onToggle={onToggle}
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
                  <td role="gridcell" colSpan={columns.length}>
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

interface TableRowProps<Row> {
  id: string;
  row: Row;
  columns: readonly Column<Row>[];
  index: number;
  open: boolean;
  tabbable: boolean;
  chosen: boolean | undefined;
  dim: boolean;
  onToggle: (key: string) => void;
  onFocus: (key: string) => void;
}

/** One row; scrolling draws only the rows again that come into the window. */
const TableRow = memo(function TableRow<Row>(props: TableRowProps<Row>) {
  const { id, row, columns, index, open, tabbable, chosen, dim, onToggle, onFocus } = props;
  const tabIndex = tabbable ? 0 : -1;
  const onClick = (event: MouseEvent) => {
    if ((event.target as HTMLElement).closest("button, a, input")) return;
    if (getSelection()?.isCollapsed === false) return;
    onToggle(id);
  };
  const chevron = (
    <button
      type="button"
      class="mw-chevron"
      tabIndex={-1}
      aria-expanded={open}
      aria-label={`${say.details}: ${id}`}
      onClick={() => onToggle(id)}
    >
      <Chevron />
    </button>
  );
  return (
    <tr
      role="row"
      class={`mw-row${open ? " mw-row-open" : ""}${dim ? " mw-dim" : ""}`}
      data-index={index}
      aria-rowindex={index + 2}
      aria-selected={chosen}
      tabIndex={tabIndex}
      onFocusIn={() => onFocus(id)}
      onClick={onClick}
    >
      {columns.map((column, at) => (
        <td key={column.id} role="gridcell" class={`mw-cell-${column.id}${column.align ? " mw-right" : ""}`}>
          {at === 0 ? (
            <div class="mw-first">
              {chevron}
              {column.cell(row, tabIndex)}
            </div>
          ) : (
            column.cell(row, tabIndex)
          )}
        </td>
      ))}
    </tr>
  );
}) as <Row>(props: TableRowProps<Row>) => VNode;

/** Keys that move or open also while a button of the row has the focus. */
const ROW_KEYS = new Set(["ArrowDown", "ArrowUp", "PageDown", "PageUp"]);

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

/** Rows in the order of a column; equal ones by name. */
export function sorted<Row>(
  rows: readonly Row[],
  column: Column<Row> | undefined,
  down: boolean,
  keyOf: (row: Row) => string,
): Row[] {
  const order = column?.order ?? (() => 0);
  const sign = down ? -1 : 1;
  return rows.toSorted((one, other) => sign * order(one, other) || names.compare(keyOf(one), keyOf(other)));
}

/** Compare by a number, unknown ones as the smallest. */
export function byNumber<Row>(value: (row: Row) => number | null): (one: Row, other: Row) => number {
  return (one, other) => (value(one) ?? -Infinity) - (value(other) ?? -Infinity) || 0;
}

export function byText<Row>(value: (row: Row) => string): (one: Row, other: Row) => number {
  return (one, other) => names.compare(value(one), value(other));
}

function useWindow(scroller: { current: HTMLDivElement | null }, rowCount: number, openIndex: number) {
  const [topRow, setTopRow] = useState(0);
  const [heightPx, setHeightPx] = useState(GUESSED_HEIGHT_PX);
  const [rowHeightPx, setRowHeightPx] = useState(GUESSED_ROW_PX);
  const [panelHeightPx, setPanelHeightPx] = useState(0);
  const panelRef = useRef<HTMLTableRowElement>(null);
  const open: OpenRow | null = openIndex < 0 ? null : { index: openIndex, heightPx: panelHeightPx };

  useLayoutEffect(() => {
    const box = scroller.current;
    if (!box) return;
    const measure = () => {
      const row = box.querySelector<HTMLElement>("[data-index]");
      if (row && row.offsetHeight > 0) setRowHeightPx(row.offsetHeight);
      if (box.clientHeight > 0) setHeightPx(box.clientHeight);
      setPanelHeightPx(panelRef.current?.offsetHeight ?? 0);
    };
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(box);
    if (panelRef.current) observer.observe(panelRef.current);
    return () => observer.disconnect();
  }, [rowCount > 0, openIndex]);

  useLayoutEffect(() => {
    const [box, panel] = [scroller.current, panelRef.current];
    if (box && panel) reveal(box, panel);
  }, [openIndex]);

  const onScroll = () => {
    const scrollTopPx = scroller.current?.scrollTop ?? 0;
    setTopRow(Math.floor(scrollTopPx / rowHeightPx / STEP) * STEP);
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

/** Scroll the table so that what has just opened is seen, its row included. */
function reveal(box: HTMLElement, panel: HTMLElement): void {
  const row = panel.previousElementSibling ?? panel;
  const [outer, inner] = [box.getBoundingClientRect(), panel.getBoundingClientRect()];
  const hidden = inner.bottom - outer.bottom;
  const header = box.querySelector("thead")?.offsetHeight ?? 0;
  const spare = row.getBoundingClientRect().top - outer.top - header;
  if (hidden > 0) box.scrollTop += Math.min(hidden, Math.max(spare, 0));
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
  const hadFocus = hasFocus(scroller.current);
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
    } else if (hadFocus && !hasFocus(scroller.current)) {
      focus(Math.min(lastIndex.current, rowCount - 1));
    }
  });
  return (index) => {
    wanted.current = focus(index) ? null : index;
  };
}

function hasFocus(box: HTMLElement | null): boolean {
  if (!box) return false;
  const focused = (box.getRootNode() as Document | ShadowRoot).activeElement;
  return focused !== null && box.contains(focused);
}
