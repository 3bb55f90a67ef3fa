import type {
  BulkDeletePlan,
  BulkDeletion,
  CatalogModel,
  CatalogSlice,
  DeletePlan,
  Devices,
  DiskUsage,
  FitCard,
  FitMarks,
  InstalledSlice,
  MemorySample,
  ModelDetails,
  Notice,
  PullPlan,
  PullProgress,
  RunningModel,
  ServiceStatus,
} from "./records";

/** The state of the manager, by slice; null means that nobody has looked yet. */
export interface Slices {
  service: ServiceStatus | null;
  devices: Devices | null;
  gpu_memory: MemorySample[];
  installed: InstalledSlice;
  running: RunningModel[];
  pulls: PullProgress[];
  catalog: CatalogSlice | null;
  fits: FitMarks | null;
  disk: DiskUsage | null;
  notices: Notice[];
}
export type SliceName = keyof Slices;

type Named = { name: string };
type Id = { id: string };
type Nothing = Record<string, never>;

/** The manager's commands: what each takes and what it answers. */
export interface Calls {
  /** The text of the later part of the page. */
  part: { params: Nothing; value: string };
  /** `refused`: the methods that this side does not carry out. */
  hello: { params: Nothing; value: { version: string; viewer: string; refused: string[] } };
  visible: { params: { visible: boolean }; value: unknown };
  refresh: { params: Nothing; value: unknown };
  refresh_catalog: { params: Nothing; value: unknown };
  details: { params: Named; value: ModelDetails };
  /** Answers soon, maybe with stops that are not worked out yet; with `whole` when all are. */
  fit_card: { params: Named & { whole?: boolean }; value: FitCard };
  plan_pull: { params: Named; value: PullPlan };
  pull: { params: Named & { force?: boolean }; value: PullProgress };
  stop: { params: Id; value: unknown };
  retry: { params: Id & { force?: boolean }; value: unknown };
  dismiss: { params: Id; value: unknown };
  plan_delete: { params: Named; value: DeletePlan };
  delete: { params: Named & { force: boolean }; value: unknown };
  plan_delete_many: { params: { names: string[] }; value: BulkDeletePlan };
  /** `force`: those of the names to delete although they are in use. */
  delete_many: { params: { names: string[]; force: string[] }; value: BulkDeletion };
  dismiss_notice: { params: Id; value: unknown };
  connect: { params: { url: string }; value: unknown };
  start_service: { params: Nothing; value: unknown };
  use_embedded: { params: Nothing; value: unknown };
  add_entry: { params: Named & { description: string; category: string }; value: CatalogModel };
  edit_entry: {
    params: Named & { new_name?: string; description?: string; category?: string };
    value: CatalogModel;
  };
  remove_entry: { params: Named; value: unknown };
  select: { params: Named; value: unknown };
}
export type Method = keyof Calls;

/** What Python chose for this view. */
export interface Options {
  view: "manager" | "installed" | "catalog" | "pulls";
  /** The manager's first tab. */
  tab: "installed" | "catalog" | "pulls";
  /** Id of the one pull to show, or "". */
  only: string;
  /** Name of the chosen model, or "". */
  selected: string;
}

/**
 * How the other side is: `waiting` = it does not take calls now (a cell is running), `lost` = it is
 * gone and what the page shows is the last that was known.
 */
export type Connection = "opening" | "open" | "waiting" | "lost";

/** What a listener is told has changed. */
export type Change = SliceName | "connection" | "options" | "later";

/** Why commands are off now, in a word and in a sentence. */
export interface Off {
  mark: string;
  reason: string;
}

/** The views that are drawn on request. */
export type LaterPart = typeof import("./later");

/** An error of the other side, or of the way there, in words for the user. */
export class CallError extends Error {
  constructor(
    /** Name of the error's Python class, or `ConnectionLost`. */
    readonly kind: string,
    message: string,
  ) {
    super(message);
  }
}

/** All that a view knows of the world; each door makes one. */
export interface Host {
  readonly connection: Connection;
  readonly options: Options;
  /** Version of the Python side, once it has said hello. */
  readonly version: string | null;
  /** What to say while the other side is gone. */
  readonly lost: Off;
  /** Why the last hello failed; the call `hello` tries again. */
  readonly failure: CallError | null;
  /** What a view keeps for the time when the same view is drawn anew, as after its cell was moved. */
  readonly memory: Map<string, unknown>;
  /** The views that are drawn on request; null until they have been fetched. */
  readonly later: LaterPart | null;
  /** Fetches them, each door in its way; rejects with a `CallError` only. */
  load(): Promise<LaterPart>;
  get<N extends SliceName>(name: N): Slices[N];
  on(event: "change", listener: (what: Change) => void): () => void;
  /** Rejects with a `CallError` only. */
  call<M extends Method>(method: M, params: Calls[M]["params"]): Promise<Calls[M]["value"]>;
}
