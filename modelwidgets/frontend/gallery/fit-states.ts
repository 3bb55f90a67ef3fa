/** States of what tells whether models fit. */
import type { Slices } from "../src/host";
import type { FitCard } from "../src/records";
import { FakeHost, refuse } from "./fake";
import type { Hand, State } from "./hand";
import * as sample from "./samples";

const slices = sample.known;
const kinds = { ...slices, fits: sample.fitKinds };

const host =
  (card: FitCard, more: Partial<Slices> = {}) =>
  () =>
    new FakeHost(
      { ...slices, ...more },
      {},
      {
        details: ({ name }: { name: string }) => sample.detailsOf(name),
        select: () => null,
        fit_card: () => card,
        pull: () => sample.pull("qwen3:32b-q3_K_M"),
      },
    );

const opened = async ({ click }: Hand) => click("Details: qwen3:32b");
const cards = sample.fitCards;
const remote = { service: { ...sample.service, url: "http://far:11434", local: false }, fits: sample.notJudged };

export const FIT_STATES: State[] = [
  { id: "fit-installed", host: () => new FakeHost(kinds) },
  { id: "fit-catalog", host: () => new FakeHost(kinds, { tab: "catalog" }) },
  { id: "fit-remote", host: () => new FakeHost({ ...slices, ...remote }) },
  { id: "fit-full", host: host(cards.full), act: opened },
  { id: "fit-partial", host: host(cards.partial), act: opened },
  { id: "fit-experts", host: host(cards.experts), act: opened },
  { id: "fit-cpu", host: host(cards.cpu, { devices: sample.noGpu }), act: opened },
  { id: "fit-impossible", host: host(cards.impossible), act: opened },
  { id: "fit-unknown", host: host(cards.unknown, remote), act: opened },
  { id: "fit-two-gpus", host: host(cards.two), act: opened },
  { id: "fit-loaded", host: host(cards.loaded), act: opened },
  { id: "fit-working", host: host({ ...cards.full, stops: { ...cards.full.stops, results: [] } }), act: opened },
  {
    id: "fit-failed",
    host: () =>
      new FakeHost(slices, {}, {
        details: ({ name }: { name: string }) => sample.detailsOf(name),
        select: () => null,
        fit_card: refuse("GgufError", "The header of qwen3:32b cannot be read: its weights are damaged. Pull it again."),
      }),
    act: opened,
  },
  {
    id: "fit-pull-asks",
    host: () => new FakeHost(slices, { tab: "catalog" }),
    act: async ({ click }) => {
      await click("Details: llama3.1");
      await click("Pull: llama3.1:405b");
    },
  },
  {
    id: "fit-bulk-asks",
    host: () =>
      new FakeHost(
        { ...slices, fits: sample.fitsNot("llama3.1:8b") },
        { tab: "catalog" },
        { pull: ({ name }: { name: string }) => sample.pull(name) },
      ),
    act: async ({ click }) => {
      await click("Select llama3.1");
      await click("Select gemma3");
      await click("Pull");
    },
  },
];
