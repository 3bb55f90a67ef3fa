/** Which rows of a long table are drawn. */

/** Rows drawn beyond the visible ones, so that a fast scroll shows no gap. */
const SPARE = 8;
/** Below this all rows are drawn. */
const FEW = 60;

/** An open row: its place and the height of what opened below it. */
export interface OpenRow {
  index: number;
  heightPx: number;
}

/** First row to draw, and the one after the last. */
export function visibleRange(
  scrollTopPx: number,
  heightPx: number,
  rowCount: number,
  rowHeightPx: number,
  open: OpenRow | null,
): [number, number] {
  if (rowCount <= FEW) return [0, rowCount];
  const rowAt = (y: number) => {
    if (!open || y <= (open.index + 1) * rowHeightPx) return y / rowHeightPx;
    return Math.max(open.index, (y - open.heightPx) / rowHeightPx);
  };
  const first = Math.floor(rowAt(scrollTopPx)) - SPARE;
  const last = Math.ceil(rowAt(scrollTopPx + heightPx)) + SPARE;
  return [Math.min(Math.max(first, 0), rowCount), Math.min(Math.max(last, 0), rowCount)];
}

/** A row to draw, or a number of rows to leave out. */
export type Piece = { row: number } | { gap: number; before: number };

/** The rows of the range and the pinned ones, in order, with the gaps between them. */
export function pieces(
  [first, last]: [number, number],
  pinned: readonly number[],
  rowCount: number,
): Piece[] {
  const inRange = Array.from({ length: last - first }, (_, offset) => first + offset);
  const outside = new Set(pinned.filter((row) => row >= 0 && row < rowCount && (row < first || row >= last)));
  const found: Piece[] = [];
  let next = 0;
  for (const row of [...outside, ...inRange].sort((one, other) => one - other)) {
    if (row > next) found.push({ gap: row - next, before: row });
    found.push({ row });
    next = row + 1;
  }
  if (next < rowCount) found.push({ gap: rowCount - next, before: rowCount });
  return found;
}
