import type { FakeHost } from "./fake";

export interface State {
  /** Also the name of its picture. */
  id: string;
  host: () => FakeHost;
  /** What somebody does before the picture is taken. */
  act?: (hand: Hand) => Promise<void>;
}

/** The hand of a user on the page. */
export interface Hand {
  /** Click what can be clicked and has this accessible name or text. */
  click: (name: string) => Promise<void>;
  type: (label: string, text: string) => Promise<void>;
}
