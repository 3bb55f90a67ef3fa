/**
 * `after`, with each part of it that did not change as the very object of `before`.
 *
 * A slice comes whole although mostly one row of it changed; with this a view finds that row by
 * comparing objects, and keeps what it has worked out for the others. Rows are the same by name or id.
 */
export function sharing<T>(before: unknown, after: T): T {
  if (before === after || !isObject(before) || !isObject(after)) return after;
  if (Array.isArray(before) !== Array.isArray(after)) return after;
  const next = (Array.isArray(after) ? sharedRows(before as unknown[], after) : sharedFields(before, after)) as T;
  return sameParts(before, next as object) ? (before as T) : next;
}

function sharedRows(before: readonly unknown[], after: readonly unknown[]): unknown[] {
  const byKey = new Map(before.map((row, at) => [keyOf(row, at), row]));
  return after.map((row, at) => sharing(byKey.get(keyOf(row, at)), row));
}

function sharedFields(before: object, after: object): object {
  const old = before as Record<string, unknown>;
  return Object.fromEntries(Object.entries(after).map(([name, value]) => [name, sharing(old[name], value)]));
}

function keyOf(row: unknown, at: number): unknown {
  const { name, id } = (row ?? {}) as { name?: unknown; id?: unknown };
  return id ?? name ?? at;
}

/**
 * Rows that a view makes of models: where nothing changed, the very objects of `before`, so that they are
 * not drawn again.
 */
export function sharingRows<Row extends { model: object }>(before: readonly Row[], after: readonly Row[]): Row[] {
  const byModel = new Map(before.map((row) => [row.model, row]));
  return after.map((row) => {
    const old = byModel.get(row.model);
    return old && sameParts(old, row) ? old : row;
  });
}

/** Whether two objects have the same fields, and in each of them the very same. */
export function sameParts(one: object, other: object): boolean {
  const [before, after] = [Object.entries(one), Object.entries(other)];
  const fields = one as Record<string, unknown>;
  return before.length === after.length && after.every(([name, value]) => fields[name] === value && name in one);
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
