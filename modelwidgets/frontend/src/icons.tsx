/** Drawn, not typed: no font has all of these everywhere. They say nothing to screen readers. */
function icon(path: string) {
  return () => (
    <svg class="mw-icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <path
        d={path}
        fill="none"
        stroke="currentColor"
        stroke-width="1.6"
        stroke-linecap="round"
        stroke-linejoin="round"
      />
    </svg>
  );
}

export const Chevron = icon("M6 4l4 4-4 4");
export const Refresh = icon("M13 8a5 5 0 1 1-1.5-3.6M13 2v3h-3");
export const Cross = icon("M4 4l8 8M12 4l-8 8");
export const Up = icon("M4 10l4-4 4 4");
export const Down = icon("M4 6l4 4 4-4");
export const Sliders = icon("M2 5h7M13 5h1M2 11h1M7 11h7M9 5a2 2 0 1 0 4 0 2 2 0 1 0-4 0M3 11a2 2 0 1 0 4 0 2 2 0 1 0-4 0");
