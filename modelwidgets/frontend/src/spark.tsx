/** A small line of something over time. What was not seen is a hole in it. */

export interface Point {
  /** Milliseconds. */
  at: number;
  /** Null where it was looked at, but is not known. */
  value: number | null;
}

interface SparkProps {
  points: readonly Point[];
  fromMs: number;
  toMs: number;
  /** The value at the top; the bottom is 0. */
  most: number;
  /** Points further apart are not joined. */
  gapMs: number;
  /** What it shows, in words; without them the words stand beside it. */
  label?: string;
}

const WIDTH = 100;
const HEIGHT = 20;

export function Spark(props: SparkProps) {
  const { fromMs, toMs, most, label } = props;
  const x = (at: number) => round(((at - fromMs) / (toMs - fromMs)) * WIDTH);
  const y = (value: number) => round(HEIGHT - 1 - (Math.min(value, most) / (most || 1)) * (HEIGHT - 2));
  return (
    <svg
      class="mw-spark"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      preserveAspectRatio="none"
      {...(label ? { role: "img", "aria-label": label } : { "aria-hidden": "true" })}
    >
      {label && <title>{label}</title>}
      {piecesOf(props).map((piece) => {
        const line = piece.map(({ at, value }) => `${x(at)} ${y(value)}`).join("L");
        const [first, last] = [x(piece[0]?.at as number), x(piece.at(-1)?.at as number)];
        return (
          <g key={piece[0]?.at}>
            <path class="mw-spark-area" d={`M${first} ${HEIGHT}L${line}L${last} ${HEIGHT}Z`} />
            <path class="mw-spark-line" d={`M${line}${piece.length === 1 ? "h.01" : ""}`} />
          </g>
        );
      })}
    </svg>
  );
}

/** The points that are joined to lines, in the order of time; a hole ends one. */
export function piecesOf(
  props: Pick<SparkProps, "points" | "fromMs" | "toMs" | "gapMs">,
): { at: number; value: number }[][] {
  const pieces: { at: number; value: number }[][] = [];
  let last: number | null = null;
  for (const { at, value } of props.points) {
    if (at < props.fromMs || at > props.toMs) continue;
    if (value === null) {
      last = null;
      continue;
    }
    if (last === null || at - last > props.gapMs) pieces.push([]);
    pieces.at(-1)?.push({ at, value });
    last = at;
  }
  return pieces;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
