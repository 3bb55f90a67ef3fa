/** What the first part may ask of the later one. */
import css from "./later.css";

export { BulkBar } from "./bulk";
export { complete, wordsFor } from "./completion";
export { Connect } from "./connect";
export { Deletion } from "./deletion";
export { Details } from "./details";
export { DiskPieces } from "./diskpieces";
export { EntryForm } from "./entry";
export { Family } from "./family";
export { LookChoices } from "./lookchoices";
export { LookUp } from "./lookup";
export { css };
