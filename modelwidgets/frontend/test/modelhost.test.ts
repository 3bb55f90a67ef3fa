import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import { pull } from "../gallery/samples";
import type { CallError, Change } from "../src/host";
import * as say from "../src/strings";
import { type Message, type Model, ModelHost, type Way } from "../src/modelhost";

interface Call {
  op: "call";
  id: number;
  method: string;
  params: unknown;
}

const WAY: Way = {
  lost: { mark: say.notLive, reason: say.lost },
  later: null,
  load: () => Promise.reject(new Error("not asked for here")),
};

/** The model of a widget, with a kernel that answers when the test says so. */
class FakeModel implements Model {
  readonly sent: Call[] = [];
  readonly traits: Record<string, string> = { view: "manager", tab: "installed", only: "", selected: "" };
  private readonly listeners = new Map<string, Set<(message: Message) => void>>();

  get(name: string) {
    return this.traits[name];
  }
  send(content: object) {
    this.sent.push(content as Call);
  }
  on(event: string, listener: (message: Message) => void) {
    this.listeners.set(event, (this.listeners.get(event) ?? new Set()).add(listener));
  }
  off(event: string, listener: (message: Message) => void) {
    this.listeners.get(event)?.delete(listener);
  }
  fire(event: string, message: Message = {} as Message) {
    for (const listener of this.listeners.get(event) ?? []) listener(message);
  }
  receive(message: Message) {
    this.fire("msg:custom", message);
  }
  answer(method: string, value: unknown = null) {
    const call = this.sent.findLast((one) => one.method === method) as Call;
    this.receive({ op: "reply", id: call.id, ok: true, value });
  }
  count(method: string) {
    return this.sent.filter((call) => call.method === method).length;
  }
  get listening() {
    return [...this.listeners.values()].reduce((sum, all) => sum + all.size, 0);
  }
}

async function open(t: TestContext) {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const model = new FakeModel();
  const host = new ModelHost(model, WAY);
  model.receive({ op: "slice", name: "pulls", rev: 1, value: [pull("one")] });
  model.answer("hello", { version: "9.9.9", viewer: "kernel on here" });
  await Promise.resolve();
  const changes: Change[] = [];
  host.on("change", (what) => changes.push(what));
  return { model, host, changes, pass: (ms: number) => t.mock.timers.tick(ms) };
}

test("it says hello at once and has the slices that come back", async (t) => {
  const { host } = await open(t);

  assert.equal(host.get("pulls")[0]?.name, "one");
  assert.equal(host.connection, "open");
  assert.equal(host.version, "9.9.9");
});

test("calls are told apart by their ids, whatever the order of the replies", async (t) => {
  const { model, host } = await open(t);
  const [details, plan] = [host.call("details", { name: "a" }), host.call("plan_delete", { name: "a" })];

  model.answer("plan_delete", "the plan");
  model.answer("details", "the details");

  assert.deepEqual(await Promise.all([details, plan]), ["the details", "the plan"]);
});

test("an error of the kernel keeps its kind and its words", async (t) => {
  const { model, host } = await open(t);
  const answer = host.call("pull", { name: "a" });

  const error = { kind: "NotEnoughSpaceError", message: "10 GB too little" };
  model.receive({ op: "reply", id: model.sent.at(-1)?.id as number, ok: false, error });

  await assert.rejects(answer, { kind: error.kind, message: error.message });
});

test("replies to other views of the same widget are passed over", async (t) => {
  const { model, host } = await open(t);
  const other = new ModelHost(model, WAY);
  const answer = host.call("details", { name: "a" });

  model.receive({ op: "reply", id: -1, ok: false, error: { kind: "X", message: "not yours" } });
  model.answer("details", "mine");

  assert.equal(await answer, "mine");
  other.close();
});

test("a missed message makes it say hello again, once", async (t) => {
  const { model } = await open(t);
  const patch = { op: "patch", name: "pulls", rev: 5, rows: { "pull-one": {} } } as const;

  model.receive(patch);
  model.receive({ ...patch, rev: 6 });

  assert.equal(model.count("hello"), 2);
});

test("a slow answer alone is not taken for a busy kernel", async (t) => {
  const { model, host, pass } = await open(t);
  const slow = host.call("start_service", {});

  pass(2000);
  model.answer("visible");
  await Promise.resolve();
  pass(1000);
  assert.equal(host.connection, "open");
  model.answer("start_service", "started");

  assert.equal(await slow, "started");
});

test("after 3 s without any answer the page waits, and fails nothing", async (t) => {
  const { model, host, changes, pass } = await open(t);
  const stop = host.call("stop", { id: "pull-one" });

  pass(2000);
  pass(999);
  assert.equal(host.connection, "open");
  pass(1);
  assert.equal(host.connection, "waiting");
  model.receive({ op: "slice", name: "running", rev: 1, value: [] });
  assert.equal(host.connection, "waiting");
  model.answer("stop", "stopped");

  assert.equal(await stop, "stopped");
  assert.equal(host.connection, "open");
  assert.deepEqual(changes, ["connection", "running", "connection"]);
});

test("a kernel that is gone ends all calls with words, keeps the rows, and takes no more calls", async (t) => {
  const { model, host } = await open(t);
  const answer = host.call("details", { name: "a" });

  model.fire("comm_live_update");

  await assert.rejects(
    answer,
    (error: CallError) => error.kind === "ConnectionLost" && error.message === say.lost,
  );
  await assert.rejects(host.call("refresh", {}), { kind: "ConnectionLost" });
  assert.equal(host.connection, "lost");
  assert.equal(host.get("pulls").length, 1);
});

test("a kernel that answers after all is there again", async (t) => {
  const { model, host } = await open(t);

  model.fire("comm_live_update");
  model.answer("hello", { version: "9.9.9", viewer: "" });

  assert.equal(host.connection, "open");
});

test("a way to the kernel that is closed already fails the call with words", async (t) => {
  const { model, host } = await open(t);
  model.send = () => {
    throw new Error("disposed");
  };

  await assert.rejects(host.call("refresh", {}), { kind: "ConnectionLost", message: /run the cell again/ });
});

test("a choice of Python reaches the view", async (t) => {
  const { model, host, changes } = await open(t);

  model.traits["view"] = "catalog";
  model.fire("change:view");

  assert.equal(host.options.view, "catalog");
  assert.deepEqual(changes, ["options"]);
});

test("a start that failed is shown, and can be tried again", async (t) => {
  const { model, host, changes } = await open(t);
  const refuse = () => {
    const id = model.sent.findLast((one) => one.method === "hello")?.id as number;
    model.receive({ op: "reply", id, ok: false, error: { kind: "StoreError", message: "The disk is full." } });
  };
  model.receive({ op: "patch", name: "pulls", rev: 9, rows: {} });
  refuse();
  await Promise.resolve();
  await Promise.resolve();
  assert.equal(host.failure?.message, "The disk is full.");
  assert.ok(changes.includes("connection"));

  const again = host.call("hello", {});
  model.answer("hello", { version: "9.9.9", viewer: "" });
  await again;

  assert.equal(host.failure, null);
});

test("a view has a name of its own for being seen, and the probe changes nothing of it", async (t) => {
  const { model, host, pass } = await open(t);
  const other = new ModelHost(model, WAY);
  void host.call("visible", { visible: true });
  void other.call("visible", { visible: true });
  void host.call("visible", { visible: false });
  pass(2000);

  const said = model.sent.filter(({ method }) => method === "visible").map(({ params }) => params) as {
    visible: boolean;
    view: string;
  }[];
  const mine = said.filter(({ view }) => view === said[0]?.view);
  assert.notEqual(said[0]?.view, said[1]?.view);
  assert.deepEqual(
    mine.map(({ visible }) => visible),
    [true, false, false],
  );
  other.close();
});

test("patches in the shape of another version are a gap, not a failure", async (t) => {
  const { model, host } = await open(t);

  model.receive({ op: "patch", name: "pulls", rev: 2, key: "pull-one", fields: {} } as unknown as Message);

  assert.equal(model.count("hello"), 2);
  assert.equal(host.get("pulls").length, 1);
});

test("closing leaves no listener behind", async (t) => {
  const { model, host } = await open(t);

  host.close();

  assert.equal(model.listening, 0);
});
