import { useUniqueId } from "../hooks";
import { type Looks, isShown } from "../look";
import { Button } from "../parts";
import * as say from "../strings";

/** Which columns a table shows, and how dense it is. */
export function LookChoices<Row>({ look }: { look: Looks<Row> }) {
  const id = useUniqueId();
  const choices = look.all.slice(1).filter(({ quiet }) => !quiet);
  return (
    <>
      <fieldset>
        <legend>{say.columns}</legend>
        {choices.map((column) => (
          <label key={column.id}>
            <input
              type="checkbox"
              checked={isShown(column, look)}
              onChange={({ currentTarget: { checked } }) =>
                look.change({ columns: { ...look.columns, [column.id]: checked } })
              }
            />
            {column.title}
          </label>
        ))}
      </fieldset>
      <fieldset>
        <legend>{say.rows}</legend>
        {[false, true].map((compact) => (
          <label key={String(compact)}>
            <input
              type="radio"
              name={`${id}-rows`}
              checked={look.compact === compact}
              onChange={() => look.change({ compact })}
            />
            {compact ? say.compactRows : say.comfortableRows}
          </label>
        ))}
      </fieldset>
      {look.reset && (
        <Button kind="quiet" onClick={look.reset}>
          {say.resetLook}
        </Button>
      )}
    </>
  );
}
