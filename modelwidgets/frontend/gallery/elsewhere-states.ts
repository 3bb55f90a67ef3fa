/** Pulls of other notebooks and terminals. */
import { FakeHost } from "./fake";
import type { State } from "./hand";
import * as sample from "./samples";

const { known, pull } = sample;
const HOSTILE = "<img src=x onerror=alert(1)> \u202egnp.exe \u001b[31m on a.very.long.host.name (process 1)";

export const ELSEWHERE_STATES: State[] = [
  {
    id: "pulls-elsewhere",
    host: () =>
      new FakeHost(
        {
          ...known,
          pulls: [
            pull("qwen3:8b"),
            pull("gemma3:12b", { owner: "kernel on ada-laptop (process 4242)" }),
            pull("phi4:14b", {
              state: "queued",
              phase: "queued",
              status: "waiting",
              completed_bytes: 0,
              bytes_per_second: null,
              eta_seconds: null,
              position: 1,
              owner: HOSTILE,
            }),
            pull("mistral:7b", {
              state: "interrupted",
              status: "interrupted",
              completed_bytes: 3.5e9,
              bytes_per_second: null,
              eta_seconds: null,
              ended_at: sample.ago(600_000),
            }),
          ],
        },
        { tab: "pulls" },
      ),
  },
];
