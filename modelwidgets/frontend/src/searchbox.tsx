import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";

import * as format from "./format";
import { useNow, useSlice, useUniqueId } from "./hooks";
import type { Host, LaterPart } from "./host";
import { useLaterPart } from "./laterpart";
import { SearchError } from "./lexer";
import { nameKey } from "./names";
import { Button, Sentence } from "./parts";
import { EVERYTHING, type Node, read } from "./query";
import type { CatalogModel, FitMarks, InstalledModel } from "./records";
import { type Found, type Known, type Values, search, valuesOf } from "./search";
import * as say from "./strings";

export interface Searched<Row> extends Found<Row> {
  /** What is wrong with the query; the rows are then the last ones that were found. */
  problem: SearchError | null;
  /** To complete what is typed; worked out when asked for, as it takes a while for many rows. */
  values: Values;
  /** It completes what is typed, as soon as it is there. */
  later: LaterPart | null;
}

/** The rows that a query finds, in their order. */
export function useSearch<Row>(
  host: Host,
  query: string,
  rows: readonly Row[],
  modelOf: (row: Row) => InstalledModel | CatalogModel,
  familyOf?: (row: Row) => CatalogModel | undefined,
): Searched<Row> {
  const known = useKnown(host);
  const tree = useMemo(() => read(query), [query]);
  const begun = useMemo(() => (tree instanceof SearchError ? beforeTerm(tree) : tree), [tree]);
  const last = useRef<Node>(EVERYTHING);
  const node = begun ?? last.current;
  const found = useMemo(
    () => search(node, rows, modelOf, known, familyOf),
    [node, rows, modelOf, known, familyOf],
  );
  if (found.rows.length > 0) last.current = node; // `siez` found nothing on the way to `siez<8GB`
  const values = useMemo((): Values => {
    const known: Record<string, readonly string[]> = {};
    return (key) => (known[key] ??= valuesOf(key, rows, modelOf, familyOf));
  }, [rows, modelOf, familyOf]);
  const later = useLaterPart(host);
  return { ...found, problem: tree instanceof SearchError ? tree : null, values, later };
}

/** What stands before a term that is still being typed, where that can be read. */
function beforeTerm({ query, offset, unfinished }: SearchError): Node | null {
  if (!unfinished) return null;
  const before = query.slice(0, offset).replace(BEGUN, "");
  const tree = read(before);
  return tree instanceof SearchError ? null : tree;
}

/** A key with its operator, and what may stand before a term. */
const BEGUN = /(?:[A-Za-z_]+\s*[<>=:]+\s*|-|\(|\b(?:AND|OR|NOT)\s+)+$/;

function useKnown(host: Host): Known {
  const { models, as_of } = useSlice(host, "installed");
  const running = useSlice(host, "running");
  const marks = useSlice(host, "fits")?.marks;
  const now = useNow();
  const fits = useMemo(() => fitsOf(marks ?? {}), [marks]);
  return useMemo(() => {
    if (as_of === null) return { installed: null, running: null, fits, now };
    const names = models.flatMap(({ name, digest }) => [nameKey(name), digest]);
    const inMemory = new Set(running.map(({ name }) => nameKey(name)));
    return { installed: new Set(names), running: inMemory, fits, now };
  }, [models, as_of, running, fits, now]);
}

function fitsOf(marks: FitMarks["marks"]): Known["fits"] {
  const known = Object.entries(marks).flatMap(([name, { fits }]) => (fits === null ? [] : [[nameKey(name), fits] as const]));
  return new Map(known);
}

const PAUSE_MS = 1000;

interface SearchBoxProps {
  label: string;
  value: string;
  onInput: (value: string) => void;
  searched: Searched<unknown>;
}

/**
 * The box of a search: a combobox that completes what is typed, and under it what is wrong with it or
 * could not be told. A mistake that typing on may mend is shown only after a pause.
 */
export function SearchBox({ label, value, onInput, searched }: SearchBoxProps) {
  const { problem, note, values, later } = searched;
  const id = useUniqueId();
  const box = useRef<HTMLInputElement>(null);
  const caret = useRef<number | null>(null);
  const [offer, setOffer] = useState<ReturnType<LaterPart["complete"]> | null>(null);
  const [active, setActive] = useState(-1);
  const settled = useSettled(value);
  const texts = offer?.texts ?? [];
  const shown = problem && (settled.now || !problem.unfinished) ? problem : null;

  useLayoutEffect(() => {
    if (caret.current !== null) box.current?.setSelectionRange(caret.current, caret.current);
    caret.current = null;
  }, [value]);
  useLayoutEffect(() => {
    const option = active < 0 ? null : optionOf(box.current, `${id}-${active}`);
    option?.scrollIntoView({ block: "nearest" });
  }, [active]);

  const close = () => {
    setOffer(null);
    setActive(-1);
  };
  const open = (query: string, cursor: number, asked: boolean) => {
    if (!later) return;
    const found = later.complete(query, cursor, values);
    const typed = found.start < cursor || /[<>=:]\s*$/.test(query.slice(0, cursor));
    setOffer(found.texts.length > 0 && (asked || typed) ? found : null);
    setActive(-1);
  };
  const replace = (start: number, end: number, text: string) => {
    const rest = text.endsWith(" ") ? value.slice(end).trimStart() : value.slice(end);
    const query = value.slice(0, start) + text + rest;
    caret.current = start + text.length;
    box.current?.focus();
    onInput(query);
    open(query, caret.current, false);
  };
  const clear = () => {
    close();
    onInput("");
    box.current?.focus();
  };
  const choose = (at: number) => offer && replace(offer.start, offer.end, texts[at] ?? "");
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const cursor = box.current?.selectionStart ?? value.length;
    if (event.key === "ArrowDown" && !offer) open(value, cursor, true);
    else if (event.key === "ArrowDown") setActive(active + 1 < texts.length ? active + 1 : -1);
    else if (event.key === "ArrowUp" && offer) setActive(active < 0 ? texts.length - 1 : active - 1);
    else if (event.key === "Enter" && active >= 0) choose(active);
    else if (event.key === "Escape" && offer) close();
    else if (event.key === "Escape" && value) clear();
    else {
      if (event.key === "Enter") settled.settle();
      if (["Enter", "ArrowLeft", "ArrowRight", "Home", "End"].includes(event.key)) close();
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  };

  return (
    <div class="mw-searchbox">
      <div class="mw-combobox">
        <input
          ref={box}
          class="mw-input mw-search"
          type="text"
          role="combobox"
          aria-label={label}
          aria-autocomplete="list"
          aria-expanded={offer !== null}
          aria-controls={offer ? `${id}-list` : undefined}
          aria-activedescendant={active < 0 ? undefined : `${id}-${active}`}
          aria-invalid={shown ? true : undefined}
          aria-describedby={shown || note ? `${id}-said` : undefined}
          placeholder={say.searchExample(label)}
          value={value}
          spellcheck={false}
          autocomplete="off"
          onKeyDown={onKeyDown}
          onInput={({ currentTarget: { value: query, selectionStart } }) => {
            onInput(query);
            open(query, selectionStart ?? query.length, false);
          }}
          onBlur={() => {
            close();
            settled.settle();
          }}
        />
        {value && (
          <button type="button" class="mw-clear" aria-label={say.clearSearch} onClick={clear}>
            ×
          </button>
        )}
        {offer && (
          <ul id={`${id}-list`} class="mw-offers" role="listbox" aria-label={say.suggestions}>
            {texts.map((text, at) => (
              <li
                key={text}
                id={`${id}-${at}`}
                class="mw-offer"
                role="option"
                aria-selected={at === active}
                onMouseDown={(event) => event.preventDefault()}
                onClick={() => choose(at)}
              >
                <code>{format.name(text.trimEnd())}</code>{" "}
                <span class="mw-muted">{later?.wordsFor(text.trimEnd())}</span>
              </li>
            ))}
          </ul>
        )}
        <span class="mw-spoken" role="status">
          {offer && say.suggested(texts.length)}
        </span>
      </div>
      <div id={`${id}-said`} role="status">
        {shown ? (
          <Problem
            problem={shown}
            onMend={(text) => replace(shown.offset, shown.offset + shown.length, text)}
          />
        ) : (
          note && !problem && <p class="mw-muted mw-text">{note}</p>
        )}
      </div>
    </div>
  );
}

/** What is wrong, where, and a button that mends it where that is known. */
function Problem({ problem, onMend }: { problem: SearchError; onMend: (text: string) => void }) {
  const { query, offset, length, instead } = problem;
  const before = query.slice(0, offset);
  const behind = query.slice(offset + length);
  return (
    <div class="mw-search-problem mw-text">
      <p>
        <span class="mw-bad">
          <Sentence text={problem.problem} />
        </span>{" "}
        <Sentence text={problem.nextStep} />{" "}
        <span class="mw-muted">{say.lastResult}</span>
      </p>
      <p class="mw-line">
        <code class="mw-place">
          {before.length > AROUND ? "…" : ""}
          {format.name(before.slice(-AROUND))}
          <mark>{format.name(query.slice(offset, offset + length).slice(0, AROUND))}</mark>
          {format.name(behind.slice(0, AROUND))}
          {behind.length > AROUND ? "…" : ""}
        </code>
        {instead !== null && (
          <Button kind="quiet" onClick={() => onMend(instead)}>
            {instead ? say.useInstead(instead) : say.removeIt}
          </Button>
        )}
      </p>
    </div>
  );
}

const AROUND = 30;

/** Whether nothing was typed for a while, or the box was left. */
function useSettled(value: string): { now: boolean; settle: () => void } {
  const [at, setAt] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setAt(value), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [value]);
  return { now: at === value, settle: () => setAt(value) };
}

/** By its id in the box's own tree, which may be a shadow root. */
function optionOf(box: HTMLElement | null, id: string): HTMLElement | null {
  return (box?.getRootNode() as Document | ShadowRoot | undefined)?.getElementById(id) ?? null;
}
