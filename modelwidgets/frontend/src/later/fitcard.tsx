import { useEffect, useState } from "preact/hooks";

import { FitSymbol, type Fits, fitWords } from "../fit";
import * as format from "../format";
import { asCallError, useOff, useSlice, useUniqueId } from "../hooks";
import type { CallError, Host } from "../host";
import { tagOf } from "../names";
import { Button, CommandButton, ErrorText } from "../parts";
import type { FitCard as Card, FitReport, FitStop, FitSuggestion } from "../records";
import * as say from "../strings";
import { type DeviceBar, PARTS, type PieceKind, type Setting, barsOf, settingOf, stopAt } from "./fitbars";

/** Whether a model fits: what it needs where, on the memory that is free now, and what would change that. */
export function FitCard({ name, host }: { name: string; host: Host }) {
  const { card, error, again } = useCard(host, name);
  return (
    <section class="mw-fit-card" aria-label={`${say.fitCard} ${format.name(name)}`}>
      {card && <Judged key={`${card.report.context_length} ${card.report.total_bytes}`} card={card} host={host} again={again} />}
      {!card && !error && <p class="mw-muted">{say.fitAsking}</p>}
      <ErrorText error={error}>
        <Button onClick={again}>{say.tryAgain}</Button>
      </ErrorText>
    </section>
  );
}

/** What answers soon first, and where some settings take longer, all of them after that. */
function useCard(host: Host, name: string) {
  const [card, setCard] = useState<Card | null>(null);
  const [error, setError] = useState<CallError | null>(null);
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    let wanted = true;
    const take = (next: Card) => {
      if (wanted) setCard(next);
      return wanted && next.stops.results.includes(null);
    };
    setError(null);
    host
      .call("fit_card", { name })
      .then((soon) => {
        if (take(soon)) return host.call("fit_card", { name, whole: true }).then(take);
        return undefined;
      })
      .catch((thrown) => wanted && setError(asCallError(thrown)));
    return () => {
      wanted = false;
    };
  }, [host, name, attempt]);
  return { card, error, again: () => setAttempt(attempt + 1) };
}

/** The card of what the kernel has answered; each change of a setting is answered from its stops. */
export function Judged({ card: { report, stops, check }, host, again }: { card: Card; host: Host; again: () => void }) {
  const first = settingOf(stops, report);
  const [setting, setSetting] = useState(first);
  const service = useSlice(host, "service");
  const change = (part: Partial<Setting>) => setSetting({ ...setting, ...part });
  const asServed = Object.entries(first).every(([key, at]) => setting[key as keyof Setting] === at);
  // The report is exact where the server would choose a context between two stops.
  const stop = asServed ? stopOf(report) : stopAt(stops, setting);
  const context = asServed ? report.context_length : (stops.context_lengths[setting.context] ?? 0);
  const words = stop ? verdictOf({ ...stop, layer_count: report.layer_count }, service?.local === false) : say.fitWorking;
  return (
    <>
      <div class="mw-line">
        <p class="mw-fit-verdict" role="status">
          {stop && <FitSymbol fits={{ ...stop, layer_count: report.layer_count }} />} <b>{words}</b>{" "}
          {stop && (
            <span class="mw-muted">
              {[
                say.fitInAll(format.memory(stop.total_bytes)),
                asServed &&
                  report.least_bytes < report.most_bytes &&
                  say.fitBetween(format.memory(report.least_bytes), format.memory(report.most_bytes)),
                say.bases[report.basis],
              ]
                .filter(Boolean)
                .join(" · ")}
            </span>
          )}
        </p>
        <span class="mw-grow" />
        <Button kind="quiet" onClick={again}>
          {say.fitAgain}
        </Button>
      </div>
      <Controls stops={stops} first={first} setting={setting} context={context} words={words} onChange={change} />
      {stop && <Bars bars={barsOf(stop, report.devices)} />}
      <Notes report={report}>
        {check && say.fitCheck(format.memory(check.estimated_bytes), format.memory(check.ps_bytes))}
      </Notes>
      {report.suggestions.length > 0 && (
        <div class="mw-line" role="group" aria-label={say.fitHelps}>
          <span class="mw-muted">{say.fitHelps}:</span>
          {report.suggestions.map((one) => (
            <Suggestion
              key={one.text}
              suggestion={one}
              report={report}
              host={host}
              onTry={() => setSetting(settingOf(stops, one))}
            />
          ))}
        </div>
      )}
    </>
  );
}

function stopOf(report: FitReport): FitStop {
  return {
    ...report,
    terms: report.terms.map(({ part, gpu, size_bytes }) => [part, gpu, size_bytes]),
    ram_bytes: report.terms.reduce((sum, { gpu, size_bytes }) => sum + (gpu === null ? size_bytes : 0), 0),
  };
}

/** The verdict in whole words. */
function verdictOf(fits: Fits, elsewhere: boolean): string {
  if (fits.verdict === null) return elsewhere ? say.fitElsewhere : say.fitNoMachine;
  return fits.verdict === "partial" && fits.gpu_layers ? say.fitOnGpu(fitWords(fits)) : fitWords(fits);
}

function Controls(props: {
  stops: Card["stops"];
  first: Setting;
  setting: Setting;
  context: number;
  words: string;
  onChange: (part: Partial<Setting>) => void;
}) {
  const { stops, first, setting, context, words, onChange } = props;
  const id = useUniqueId();
  const tokens = say.tokensLong(format.integer(context));
  return (
    <div class="mw-fit-controls">
      <span class="mw-fit-slider">
        <label for={id}>{say.fitContext}</label>
        <input
          id={id}
          type="range"
          min={0}
          max={stops.context_lengths.length - 1}
          step={1}
          value={setting.context}
          aria-valuetext={`${tokens}: ${words}`}
          onInput={(event) => onChange({ context: Number(event.currentTarget.value) })}
        />
        <span class="mw-fit-tokens">{tokens}</span>
      </span>
      <Choice
        label={say.fitCache}
        texts={stops.kv_cache_types}
        first={first.cache}
        at={setting.cache}
        onChange={(cache) => onChange({ cache })}
      />
      <Choice
        label={say.fitParallel}
        texts={stops.num_parallels.map(format.integer)}
        first={first.parallel}
        at={setting.parallel}
        onChange={(parallel) => onChange({ parallel })}
      />
    </div>
  );
}

function Choice(props: {
  label: string;
  texts: readonly string[];
  first: number;
  at: number;
  onChange: (at: number) => void;
}) {
  const { label, texts, first, at, onChange } = props;
  const id = useUniqueId();
  if (texts.length < 2) return null;
  return (
    <span>
      <label for={id}>{label}</label>{" "}
      <select
        id={id}
        class="mw-input"
        value={at}
        onChange={(event) => onChange(Number(event.currentTarget.value))}
      >
        {texts.map((text, place) => (
          <option key={text} value={place}>
            {place === first ? say.fitDefault(text) : text}
          </option>
        ))}
      </select>
    </span>
  );
}

/** The bars, and below them the same as a table, which is their legend. */
function Bars({ bars }: { bars: readonly DeviceBar[] }) {
  const kinds: PieceKind[] = ["others", ...PARTS, "free", "over"];
  const rows = kinds.filter((kind) => bars.some(({ pieces }) => pieces.some((piece) => piece.kind === kind)));
  return (
    <div class="mw-fit-bars">
      {bars.map((bar) => (
        <Bar key={bar.title} bar={bar} />
      ))}
      <div class="mw-wide-table">
        <table class="mw-plain mw-fit-table">
          <caption class="mw-spoken">{say.fitTable}</caption>
          <thead>
            <tr>
              <th scope="col">{say.fitPart}</th>
              {bars.map(({ title }) => (
                <th key={title} scope="col" class="mw-right">
                  {title}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((kind) => (
              <tr key={kind} class={kind === "over" ? "mw-bad" : ""}>
                <th scope="row">
                  <i class={`mw-fit-piece mw-fit-${kind}`} aria-hidden="true" />
                  {say.fitParts[kind]}
                </th>
                {bars.map(({ title, pieces }) => {
                  const piece = pieces.find((one) => one.kind === kind);
                  return (
                    <td key={title} class="mw-right">
                      {piece ? format.memory(piece.bytes) : say.none}
                    </td>
                  );
                })}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </div>
  );
}

function Bar({ bar: { title, capacityBytes, scaleBytes, pieces } }: { bar: DeviceBar }) {
  const drawn = pieces.filter(({ kind }) => kind !== "over");
  const over = capacityBytes !== null && scaleBytes > capacityBytes;
  const words = pieces.map(({ kind, bytes }) => `${say.fitParts[kind]} ${format.memory(bytes)}`).join(", ");
  return (
    <div class="mw-fit-device">
      <span>{capacityBytes === null ? title : say.fitTotal(title, format.memory(capacityBytes))}</span>
      <div class="mw-fit-bar" role="img" aria-label={say.fitBar(title, words || say.none)}>
        {drawn.map(({ kind, bytes }) => (
          <i
            key={kind}
            class={`mw-fit-piece mw-fit-${kind}`}
            style={{ flexGrow: bytes / scaleBytes }}
            title={`${say.fitParts[kind]}: ${format.memory(bytes)}`}
          />
        ))}
        {over && <i class="mw-fit-end" style={{ insetInlineStart: `${(capacityBytes / scaleBytes) * 100}%` }} />}
      </div>
    </div>
  );
}

/** Who else is there, what it was held against, and the smallest GPU that holds it whole. */
function Notes({ report, children }: { report: FitReport; children: string | null }) {
  const { users, recommended_gpu: best, notes } = report;
  const others = users.flatMap(({ name, pid, used_bytes }) =>
    used_bytes ? [say.fitUser(name === null ? say.fitProgram(pid ?? 0) : format.name(name), format.memory(used_bytes))] : [],
  );
  const cards = best && best.cards.map((card) => say.fitCards(best.count, format.name(card))).join(", ");
  return (
    <div class="mw-fit-notes">
      {children && <p>{children}</p>}
      {best && cards && (
        <p>{say.fitWholeOn(say.fitCards(best.count, say.gib(format.integer(best.memory_bytes / 2 ** 30))), cards)}</p>
      )}
      {others.length > 0 && <p class="mw-muted mw-text">{say.fitUsers(others.join(", "))}</p>}
      {notes.map((note) => (
        <p key={note} class="mw-muted mw-text">
          {format.prose(note)}
        </p>
      ))}
    </div>
  );
}

/** What would help: a setting to try here, or another model to pull. */
function Suggestion(props: { suggestion: FitSuggestion; report: FitReport; host: Host; onTry: () => void }) {
  const { suggestion, report, host, onTry } = props;
  const { change, name, context_length, kv_cache_type, num_parallel, total_bytes, download_bytes } = suggestion;
  const off = useOff(host);
  const outcome = `${fitWords({ verdict: suggestion.verdict, gpu_layers: null, layer_count: null })}, ${format.memory(total_bytes)}`;
  if (change === "quantization") {
    const size = download_bytes === null ? say.unknown : format.disk(download_bytes);
    return (
      <CommandButton
        host={host}
        method="pull"
        params={{ name }}
        off={off}
        label={say.fitPullInstead(format.name(tagOf(name)), size)}
        spoken={`${say.fitPullInstead(format.name(name), size)}: ${outcome}`}
        busyLabel={say.pulling}
      />
    );
  }
  if (change === "unload") return <span class="mw-text">{format.prose(suggestion.text)}</span>;
  const settings = [
    context_length !== report.context_length && say.fitTryContext(format.integer(context_length)),
    kv_cache_type !== report.kv_cache_type && say.fitTryCache(kv_cache_type),
    num_parallel !== report.num_parallel && say.fitTryParallel(num_parallel),
  ];
  const label = say.fitOutcome(settings.filter(Boolean).join(", "), outcome);
  return <Button onClick={onTry}>{label}</Button>;
}
