declare const MODELWIDGETS_VERSION: string; // written in by build.mjs

/** The version of what draws the page. */
export const PAGE_VERSION: string = MODELWIDGETS_VERSION;

/** Whether the kernel is older or newer than the page: they may misunderstand each other. */
export function skew(kernel: string, page: string = PAGE_VERSION): "older" | "newer" | null {
  if (kernel === page) return null;
  const [ours, theirs] = [page, kernel].map((version) => version.split(/\D+/).map(Number));
  for (const at of [0, 1, 2, 3]) {
    const difference = (theirs?.[at] ?? 0) - (ours?.[at] ?? 0);
    if (difference) return difference < 0 ? "older" : "newer";
  }
  return "newer";
}
