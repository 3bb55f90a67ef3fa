/** Keeps rows in their place on the screen while rows come and go above them. */
import { useLayoutEffect, useRef } from "preact/hooks";

import { focusedIn } from "./focus";

/** Where a row stood, from the top of the table's window. */
interface Mark {
  key: string;
  topPx: number;
}

interface Drawn<Row> {
  rows: readonly Row[];
  scope: string;
}

/**
 * After new data the row under the pointer stands where it stood, else the focused one, else the
 * first that is seen; the index of that row, which must be drawn, or -1. Another `scope` is another
 * question (a filter, an order): it begins at the top.
 *
 * Why not the browser's own scroll anchoring: Safari has none, and it holds on to whatever element is
 * at the top, which in a table that draws a window of its rows may be the gap above them.
 */
export function useAnchor<Row>(
  scroller: { current: HTMLElement | null },
  rows: readonly Row[],
  scope: string,
  keyOf: (row: Row) => string,
  onScroll: () => void,
): number {
  const drawn = useRef<Drawn<Row>>({ rows, scope });
  const mark = useRef<{ index: number; topPx: number } | null>(null);
  const before = drawn.current;
  const asked = before.scope !== scope;
  // While this runs the page still shows what was before.
  if (before.rows !== rows && !asked) mark.current = found(marks(scroller.current, before.rows, keyOf), rows, keyOf);
  drawn.current = { rows, scope };
  const index = mark.current?.index ?? -1;

  useLayoutEffect(() => {
    const [box, was] = [scroller.current, mark.current];
    mark.current = null;
    if (!box) return;
    if (asked) box.scrollTop = 0;
    const row = was && box.querySelector(`[data-index="${was.index}"]`);
    if (row) box.scrollTop += topOf(row, box) - was.topPx;
    if (asked || row) onScroll();
  });
  return index;
}

/** The rows that are seen, the one that matters most first. */
function marks<Row>(
  box: HTMLElement | null,
  rows: readonly Row[],
  keyOf: (row: Row) => string,
): Mark[] {
  if (!box || box.clientHeight === 0) return [];
  const headerPx = box.querySelector<HTMLElement>("thead")?.offsetHeight ?? 0;
  const seen = (row: HTMLElement) => {
    const topPx = topOf(row, box);
    const bottomPx = topPx + row.offsetHeight + (isPanel(row.nextElementSibling) ? panelPx(row) : 0);
    return bottomPx > headerPx && topPx < box.clientHeight;
  };
  const first = [box.querySelector(":is(.mw-row, .mw-panel):hover"), focusedIn(box)].map(rowOf);
  const others = box.scrollTop > 0 ? box.querySelectorAll<HTMLElement>("[data-index]") : [];
  return [...first, ...others].flatMap((row) => {
    const index = row ? Number(row.dataset["index"]) : rows.length;
    if (!row || index >= rows.length || !seen(row)) return [];
    return [{ key: keyOf(rows[index] as Row), topPx: topOf(row, box) }];
  });
}

function found<Row>(
  wanted: readonly Mark[],
  rows: readonly Row[],
  keyOf: (row: Row) => string,
): { index: number; topPx: number } | null {
  if (wanted.length === 0) return null;
  const places = new Map(rows.map((row, index) => [keyOf(row), index]));
  const there = wanted.find(({ key }) => places.has(key));
  return there ? { index: places.get(there.key) as number, topPx: there.topPx } : null;
}

/** The row that an element of it, or of its panel, belongs to. */
function rowOf(element: Element | null): HTMLElement | null {
  const place = element?.closest<HTMLElement>(".mw-row, .mw-panel") ?? null;
  return isPanel(place) ? (place?.previousElementSibling as HTMLElement | null) : place;
}

function isPanel(element: Element | null | undefined): boolean {
  return element?.classList.contains("mw-panel") ?? false;
}

function panelPx(row: Element): number {
  return (row.nextElementSibling as HTMLElement).offsetHeight;
}

function topOf(row: Element, box: Element): number {
  return row.getBoundingClientRect().top - box.getBoundingClientRect().top;
}
