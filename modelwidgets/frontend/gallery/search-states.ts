/** Searches: completed, mistaken, not known, of tags, hostile. */
import { FakeHost } from "./fake";
import type { Hand, State } from "./hand";
import * as sample from "./samples";

const { known } = sample;
const host = (tab: "installed" | "catalog") => () => new FakeHost(known, { tab });
const notWorkedOut = () => new FakeHost({ ...known, fits: null });
const typed =
  (query: string) =>
  ({ type }: Hand) =>
    type("Search installed models", query);
const inCatalog =
  (query: string) =>
  ({ type }: Hand) =>
    type("Search the catalog, or type a model name", query);

export const SEARCH_STATES: State[] = [
  { id: "search-completes", host: host("installed"), act: typed("vision c") },
  { id: "search-values", host: host("installed"), act: typed("quant:") },
  { id: "search-mistake", host: host("installed"), act: typed("siez<8GB vision") },
  { id: "search-not-known", host: notWorkedOut, act: typed("fits OR size<1GB") },
  { id: "search-nothing-known", host: notWorkedOut, act: typed("fits") },
  {
    id: "search-hostile",
    host: host("installed"),
    act: typed(`"\u202egnp.exe\u001b[31m" ${"<img src=x onerror=alert(1)>".repeat(8)}`),
  },
  {
    id: "search-tags",
    host: host("catalog"),
    act: async (hand) => {
      await inCatalog("size<6GB qwen3")(hand);
      await hand.click("Details: qwen3");
    },
  },
];
