/** What a table has side by side, and how its rows are put in order. */
import type { ComponentChildren } from "preact";

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
  /** The first column has none: it takes what the others leave. */
  widthPx?: number;
  /** Shown only where somebody asks for it. */
  optional?: boolean;
}

export interface Sort {
  column: string;
  down: boolean;
}

const collator = new Intl.Collator(undefined, { numeric: true });

/** Rows in the order of a column; equal ones stay in the order in which they came. */
export function sorted<Row>(rows: readonly Row[], column: Column<Row> | undefined, down: boolean): Row[] {
  const order = column?.order ?? (() => 0);
  const sign = down ? -1 : 1;
  return rows.toSorted((one, other) => sign * order(one, other));
}

/** Rows by name, the order that tables want them in: ties of any column then stand by name. */
export function byName<Row>(rows: readonly Row[], nameOf: (row: Row) => string): Row[] {
  return rows.toSorted((one, other) => collator.compare(nameOf(one), nameOf(other)));
}

/** Compare by a number, unknown ones as the smallest. */
export function byNumber<Row>(value: (row: Row) => number | null): (one: Row, other: Row) => number {
  return (one, other) => (value(one) ?? -Infinity) - (value(other) ?? -Infinity) || 0;
}

export function byText<Row>(value: (row: Row) => string): (one: Row, other: Row) => number {
  return (one, other) => collator.compare(value(one), value(other));
}
