/**
 * Numbers, sizes and times as a person reads them.
 *
 * Disk and downloads in powers of 1000 (GB), memory in powers of 1024 (GiB). Digits follow the
 * reader's locale, words the language of `strings.ts`.
 */
import * as say from "./strings";

const whole = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat(undefined, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const fine = new Intl.NumberFormat(undefined, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const compact = new Intl.NumberFormat(say.LANGUAGE, { notation: "compact", maximumFractionDigits: 1 });
const percents = new Intl.NumberFormat(undefined, {
  style: "percent",
  minimumFractionDigits: 1,
  maximumFractionDigits: 1,
});
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "long", timeStyle: "short" });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const lists = new Intl.ListFormat(say.LANGUAGE);
const ago = new Intl.RelativeTimeFormat(say.LANGUAGE, { numeric: "auto" });

const DISK = [
  ["TB", 1e12],
  ["GB", 1e9],
  ["MB", 1e6],
  ["kB", 1e3],
  ["B", 1],
] as const;
const GIB = 2 ** 30;

/** `2.0 GB`, `274 MB`. */
export function disk(bytes: number): string {
  const [unit, size] = diskUnit(bytes);
  return `${amount(bytes / size, unit)} ${unit}`;
}

/** `4.7 of 8.1 GB`, both in the unit of the total so that they compare at a glance. */
export function diskOf(bytes: number, totalBytes: number): string {
  const [unit, size] = diskUnit(totalBytes);
  return `${amount(bytes / size, unit)} of ${amount(totalBytes / size, unit)} ${unit}`;
}

/** `58 MB/s`. */
export function speed(bytesPerSecond: number): string {
  return `${disk(bytesPerSecond)}/s`;
}

/** `6.1 GiB`, `25 MiB`. */
export function memory(bytes: number): string {
  const small = bytes > 0 && bytes < GIB / 10;
  return small ? `${amount((bytes / GIB) * 1024, "MB")} MiB` : `${amount(bytes / GIB, "GiB")} GiB`;
}

/** `6.1 of 24.0 GiB`. */
export function memoryOf(bytes: number, totalBytes: number): string {
  return `${amount(bytes / GIB, "GiB")} of ${amount(totalBytes / GIB, "GiB")} GiB`;
}

/** `57.8%`, rounded down, so that 100.0% is shown for nothing less. */
export function percent(part: number, total: number): string {
  const share = total > 0 ? Math.min(part / total, 1) : 1;
  return percents.format(Math.floor(share * 1000) / 1000);
}

/** `118.7M`. */
export function count(value: number): string {
  return compact.format(value);
}

/** `131,072`. */
export function integer(value: number): string {
  return whole.format(value);
}

/** `4.89`. */
export function hundredths(value: number): string {
  return fine.format(value);
}

/** `128K` tokens of context, counted in 1024 as model makers do. */
export function tokens(value: number): string {
  return value >= 1024 ? `${whole.format(value / 1024)}K` : whole.format(value);
}

/** The server's label with a space before its unit: `3.2 B`. */
export function parameters(label: string): string {
  return label.replace(/^([\d.]+)\s*([KMBT])$/i, "$1 $2");
}

/** `58 s`, `1 min 5 s`, `2 h 10 min`. */
export function duration(seconds: number): string {
  const total = Math.max(0, Math.round(seconds));
  const [hours, minutes] = [Math.floor(total / 3600), Math.floor(total / 60) % 60];
  if (hours >= 48) return `${whole.format(Math.round(hours / 24))} days`;
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min ${total % 60} s` : `${total} s`;
}

/** `2 hours ago`, `yesterday`. */
export function relative(iso: string, now: number): string {
  const seconds = (Date.parse(iso) - now) / 1000;
  if (Number.isNaN(seconds)) return iso;
  const size = Math.abs(seconds);
  for (const [unit, length] of UNITS) {
    if (size >= length) return ago.format(Math.trunc(seconds / length), unit);
  }
  return ago.format(0, "second");
}

const UNITS = [
  ["year", 365.25 * 86400],
  ["month", 30.44 * 86400],
  ["week", 7 * 86400],
  ["day", 86400],
  ["hour", 3600],
  ["minute", 60],
] as const;

/** `November 21, 2026 at 12:03 PM`. */
export function date(iso: string): string {
  return formatted(full, iso);
}

/** `Nov 21, 2026`. */
export function shortDate(iso: string): string {
  return formatted(day, iso);
}

/** `12:03`. */
export function time(iso: string): string {
  return formatted(clock, iso);
}

/**
 * A name with what would reorder or hide its letters made visible; real names have no such marks. One that
 * is written from right to left is set apart, so that it leaves the words around it where they are.
 */
export function name(text: string): string {
  const shown = text.replace(/[\p{Cc}\p{Cf}]/gu, "\u{fffd}");
  return /[\u0590-\u08ff\ufb1d-\ufefc]/.test(shown) ? `\u2068${shown}\u2069` : shown;
}

/** A text of several lines with what would reorder it or steer a terminal made visible. */
export function prose(text: string): string {
  return text.replace(/[\u200e\u200f\u202a-\u202e\u2066-\u2069]|(?![\t\n])\p{Cc}/gu, "\u{fffd}");
}

/** A message where nothing can be shown as code: without the backticks around it. */
export function plain(message: string): string {
  return message.replaceAll("`", "");
}

/** `a, b, and c`. */
export function list(texts: readonly string[]): string {
  return lists.format(texts);
}

/** The first 12 digits, as `ollama list` shows. */
export function shortDigest(digest: string): string {
  return digest.replace(/^sha256:/, "").slice(0, 12);
}

function formatted(format: Intl.DateTimeFormat, iso: string): string {
  const at = Date.parse(iso);
  return Number.isNaN(at) ? iso : format.format(at);
}

function diskUnit(bytes: number): readonly [string, number] {
  return DISK.find(([, size]) => bytes >= size) ?? ["B", 1];
}

function amount(value: number, unit: string): string {
  const small = unit === "MB" || unit === "kB" ? value < 10 : value < 99.95;
  return unit !== "B" && small ? tenths.format(value) : whole.format(value);
}
