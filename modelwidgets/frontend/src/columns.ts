/** What a table has side by side, and how its rows are put in order. */
import { type ComponentChildren, h } from "preact";

import * as say from "./strings";

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

/** A column of numbers: the largest first, a dash for what is not known. */
export function numberColumn<Row>(
  id: string,
  title: string,
  widthPx: number,
  value: (row: Row) => number | null,
  show: (value: number) => string,
  optional = false,
): Column<Row> {
  const cell = (row: Row) => {
    const number = value(row);
    return number === null ? say.none : show(number);
  };
  return { id, title, widthPx, optional, align: "right", cell, order: byNumber(value), largestFirst: true };
}

/** A column of texts that is shown where somebody asks for it. */
export function textColumn<Row>(
  id: string,
  title: string,
  widthPx: number,
  text: (row: Row) => string,
): Column<Row> {
  const cell = (row: Row) => {
    const shown = text(row);
    return shown ? h("span", { title: shown }, shown) : say.none;
  };
  return { id, title, widthPx, optional: true, cell, order: byText(text) };
}

export function byText<Row>(value: (row: Row) => string): (one: Row, other: Row) => number {
  return (one, other) => collator.compare(value(one), value(other));
}
