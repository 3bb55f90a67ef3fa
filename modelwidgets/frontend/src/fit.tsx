/** Whether models fit, in short: the mark of a row, and the two columns that show it. */
import type { Column } from "./columns";
import { byNumber, numberColumn } from "./columns";
import * as format from "./format";
import type { FitMark, FitMarks, FitVerdict } from "./records";
import * as say from "./strings";

/** What of a mark or of a card is needed to say it in words. */
export interface Fits {
  verdict: FitVerdict | null;
  gpu_layers: number | null;
  layer_count: number | null;
  /** Only a card knows it. */
  experts_in_ram?: number;
}

/** What will happen, in a few words. */
export function fitWords({ verdict, gpu_layers, layer_count, experts_in_ram }: Fits): string {
  switch (verdict) {
    case "full":
      return say.fitFull;
    case "moe-partial":
      return experts_in_ram ? say.fitExpertsOf(experts_in_ram) : say.fitExperts;
    case "partial":
      return gpu_layers && layer_count ? say.fitLayers(gpu_layers, layer_count) : say.fitPartly;
    case "cpu":
      return say.fitCpu;
    case "no":
      return say.fitNo;
    default:
      return say.unknown;
  }
}

/** A disc that is filled as far as the model lies on GPUs; crossed out where it does not fit. */
export function FitSymbol({ fits }: { fits: Fits }) {
  return (
    <span
      class={`mw-fit-symbol mw-fit-${fits.verdict ?? "unknown"}`}
      style={{ "--mw-share": String(shareOf(fits)) }}
      aria-hidden="true"
    />
  );
}

function shareOf({ verdict, gpu_layers, layer_count }: Fits): number {
  if (verdict === "full") return 1;
  if (verdict === "moe-partial") return 0.75;
  return verdict === "partial" ? (gpu_layers && layer_count ? gpu_layers / layer_count : 0.5) : 0;
}

export function FitCell({ mark, context }: { mark: FitMark | undefined; context: number | null }) {
  if (!mark) return <>{say.none}</>;
  const { needed_bytes, basis } = mark;
  const need = needed_bytes === null ? "" : say.fitNeeds(format.memory(needed_bytes), context && format.integer(context));
  return (
    <span class="mw-fit" title={[need, basis && say.bases[basis]].filter(Boolean).join(", ")}>
      <FitSymbol fits={mark} /> <span class={mark.verdict === "no" ? "mw-bad" : ""}>{fitWords(mark)}</span>
    </span>
  );
}

/** From what does not fit to what fits whole; what is not known is the least. */
const ORDER: (FitVerdict | null)[] = [null, "no", "cpu", "partial", "moe-partial", "full"];

/** Whether it fits, and what it needs; the second is shown where somebody asks for it. */
export function fitColumns<Row>(
  fits: FitMarks | null,
  markOf: (row: Row) => FitMark | undefined,
): [Column<Row>, Column<Row>] {
  const rank = (row: Row) => {
    const mark = markOf(row);
    return mark ? ORDER.indexOf(mark.verdict) + shareOf(mark) / 2 : null;
  };
  return [
    {
      id: "fit",
      title: say.fit,
      widthPx: 132,
      cell: (row) => <FitCell mark={markOf(row)} context={fits?.context_length ?? null} />,
      order: byNumber(rank),
      largestFirst: true,
    },
    numberColumn("memory", say.memory, 88, (row) => markOf(row)?.needed_bytes ?? null, format.memory, true),
  ];
}
