/** Units, times and digests of the samples. */
export const GB = 1e9;
export const GIB = 2 ** 30;
export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

export function ago(ms: number): string {
  return new Date(Date.now() - ms).toISOString();
}

/** 64 hex digits that differ with the text. */
export function digestOf(text: string): string {
  let state = 7;
  return Array.from({ length: 64 }, (_, at) => {
    state = (state * 31 + (text.codePointAt(at % text.length) ?? 0) + at) % 65_521;
    return (state % 16).toString(16);
  }).join("");
}
