/**
 * Puts a text on the clipboard; false where the page may not.
 *
 * Frames of some hosts (VS Code, Colab) and pages without https have no clipboard of the new kind; the
 * old kind copies what is selected, so a field holds the text for a moment, beside what was clicked, so
 * that it works in a shadow root too. The focus goes back to where it was.
 */
export async function copyText(text: string, beside: HTMLElement): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copySelected(text, beside);
  }
}

function copySelected(text: string, beside: HTMLElement): boolean {
  const page = beside.ownerDocument;
  const { activeElement } = beside.getRootNode() as Document | ShadowRoot;
  const field = page.createElement("textarea");
  field.value = text;
  field.readOnly = true;
  field.className = "mw-spoken";
  beside.after(field);
  field.select();
  try {
    return page.execCommand("copy");
  } catch {
    return false;
  } finally {
    field.remove();
    (activeElement as HTMLElement | null)?.focus();
  }
}
