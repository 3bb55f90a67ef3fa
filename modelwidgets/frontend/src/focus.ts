const FOCUSABLE = "a[href], button, input, select, summary, textarea, [tabindex]";

/**
 * Keeps the focus in the view when what has it goes, as a Stop button with its pull: to what comes in
 * its place. Else it falls to the page, and a keyboard user starts at the top of the notebook.
 */
export function keepFocus(el: HTMLElement, signal: AbortSignal): void {
  let last: HTMLElement | null = null;
  let place = 0;
  const stops = () =>
    [...el.querySelectorAll<HTMLElement>(FOCUSABLE)].filter((one) => one.tabIndex >= 0 && one.checkVisibility());
  const onFocusIn = ({ target }: FocusEvent) => {
    last = target as HTMLElement;
    place = Math.max(stops().indexOf(last), 0);
  };
  // Removing also blurs, in some browsers before the element has gone.
  const onFocusOut = ({ target }: FocusEvent) =>
    queueMicrotask(() => {
      if (last === target && last?.isConnected) last = null;
    });
  const observer = new MutationObserver(() => {
    if (last === null || last.isConnected) return;
    last = null;
    const focused = (el.getRootNode() as Document | ShadowRoot).activeElement;
    if (focused === null || focused === el.ownerDocument.body) stops().slice(0, place + 1).at(-1)?.focus();
  });
  el.addEventListener("focusin", onFocusIn, { signal });
  el.addEventListener("focusout", onFocusOut, { signal });
  observer.observe(el, { childList: true, subtree: true });
  signal.addEventListener("abort", () => observer.disconnect());
}
