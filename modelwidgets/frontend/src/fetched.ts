/** Door 1's way to the later part: the kernel answers its text, which is imported as the first part's was. */
import * as shared from "modelwidgets:shared";

import { CallError, type Host, type LaterPart } from "./host";
import * as say from "./strings";

declare const MODELWIDGETS_LATER: string; // which build of the later part fits this one; see bundle.mjs

/** The default export of the text: it is given the modules that both parts need, which must not be twice. */
type Make = (modules: typeof shared) => LaterPart;

let part: LaterPart | null = null;

/** The later part, where this page has it. */
export const fetchedPart = () => part;

/**
 * Once for all views of a kernel in this page, which is what `owner` stands for: only text that the own
 * kernel has answered is ever imported.
 */
export async function fetchPart(host: Pick<Host, "call">, owner: object): Promise<LaterPart> {
  const makes = makesOf(owner);
  let make = makes.get(MODELWIDGETS_LATER);
  if (!make) {
    make = host.call("part", {}).then(imported);
    makes.set(MODELWIDGETS_LATER, make);
    make.catch(() => makes.delete(MODELWIDGETS_LATER)); // the next try asks again
  }
  return (part ??= (await make)(shared));
}

/** By kernel; every widget imports a first part of its own, so this lies where all of them find it. */
function makesOf(owner: object): Map<string, Promise<Make>> {
  const page = globalThis as { [PAGE]?: WeakMap<object, Map<string, Promise<Make>>> };
  const all = (page[PAGE] ??= new WeakMap());
  if (!all.has(owner)) all.set(owner, new Map());
  return all.get(owner) as Map<string, Promise<Make>>;
}

const PAGE = Symbol.for("modelwidgets.later");

async function imported(text: string): Promise<Make> {
  if (!text.startsWith(`/*${MODELWIDGETS_LATER}*/`)) throw new CallError("PartError", say.otherPart);
  const url = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
  try {
    return (await import(/* webpackIgnore: true */ url)).default;
  } catch (error) {
    throw new CallError("PartError", say.partRefused(String(error)));
  } finally {
    URL.revokeObjectURL(url);
  }
}
