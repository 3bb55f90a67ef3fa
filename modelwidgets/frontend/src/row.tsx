import type { VNode } from "preact";

import type { Column } from "./columns";
import { Chevron } from "./icons";
import { memo } from "./memo";
import * as format from "./format";
import * as say from "./strings";

export interface TableRowProps<Row> {
  id: string;
  row: Row;
  columns: readonly Column<Row>[];
  index: number;
  open: boolean;
  tabbable: boolean;
  marked: boolean;
  /** It is the one that was chosen in Python or last opened. */
  current: boolean;
  dim: boolean;
  onToggle: (key: string) => void;
  /** `range`: all rows from the one last marked to this one. */
  onMark: (key: string, range: boolean) => void;
  onFocus: (key: string) => void;
}

/** One row; scrolling draws only the rows again that come into the window. */
export const TableRow = memo(function TableRow<Row>(props: TableRowProps<Row>) {
  const { id, row, columns, index, open, tabbable, marked, current, dim } = props;
  const { onToggle, onMark, onFocus } = props;
  const tabIndex = tabbable ? 0 : -1;
  const onClick = (event: MouseEvent) => {
    if ((event.target as HTMLElement).closest("button, a, input, label")) return;
    if (event.shiftKey || event.ctrlKey || event.metaKey) onMark(id, event.shiftKey);
    else if (getSelection()?.isCollapsed !== false) onToggle(id);
  };
  return (
    <tr
      role="row"
      class={`mw-row${open ? " mw-row-open" : ""}${dim ? " mw-dim" : ""}`}
      data-index={index}
      aria-rowindex={index + 2}
      aria-selected={marked}
      aria-current={current ? "true" : undefined}
      tabIndex={tabIndex}
      onFocusIn={() => onFocus(id)}
      onClick={onClick}
      // A click with Shift marks a range; the browser would also mark the text between.
      onMouseDown={(event) => event.shiftKey && event.preventDefault()}
    >
      <td role="gridcell" class="mw-cell-check">
        <label>
          <input
            type="checkbox"
            tabIndex={-1}
            aria-label={say.mark(format.name(id))}
            checked={marked}
            onClick={(event) => onMark(id, event.shiftKey)}
          />
        </label>
      </td>
      {columns.map((column, at) => (
        <td
          key={column.id}
          role="gridcell"
          class={`mw-cell-${column.id}${column.align ? " mw-right" : ""}${column.optional ? " mw-extra" : ""}`}
          data-title={column.optional ? column.title : undefined}
        >
          {at === 0 ? (
            <div class="mw-first">
              <button
                type="button"
                class="mw-chevron"
                tabIndex={-1}
                aria-expanded={open}
                aria-label={`${say.details}: ${format.name(id)}`}
                onClick={() => onToggle(id)}
              >
                <Chevron />
              </button>
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
