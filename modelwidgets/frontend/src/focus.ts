/** What has the focus in a part of the page, which may lie in a shadow root. */
export function focusedIn(box: Element | null): Element | null {
  const focused = (box?.getRootNode() as Document | ShadowRoot | undefined)?.activeElement;
  return focused && box?.contains(focused) ? focused : null;
}

/** Where the arrows, Home and End lead from a place in a line of so many; it may be one past either end. */
export function stepOf(event: KeyboardEvent, at: number, count: number): number | null {
  const steps: Record<string, number> = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: count - 1 };
  const to = steps[event.key];
  if (to === undefined) return null;
  event.preventDefault();
  return to;
}

const FOCUSABLE = "a,button,input,select,summary,[tabindex]";

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
    place = stops().indexOf(last);
    // What is partly seen stays where it is, half its ring hidden, unless told otherwise.
    if (last.matches(":is(a,button,input,select,pre,tr):focus-visible"))
      last.scrollIntoView({ block: "nearest", inline: "nearest" });
  };
  // Removing also blurs, in some browsers before the element has gone.
  const onFocusOut = () =>
    queueMicrotask(() => {
      if (last?.isConnected && !last.matches(":focus")) last = null;
    });
  el.addEventListener("focusin", onFocusIn, { signal });
  el.addEventListener("focusout", onFocusOut, { signal });
  new MutationObserver(() => {
    if (!last || last.isConnected) return;
    last = null;
    if (!el.querySelector(":focus")) (stops()[place] ?? stops().at(-1))?.focus();
  }).observe(el, { childList: true, subtree: true }); // ends with the element
}
