import { useState } from "preact/hooks";

import { FitCell } from "../fit";
import * as format from "../format";
import { isActive, useCommand, useOff, usePull } from "../hooks";
import type { Host } from "../host";
import { Button, ErrorText, Sentence } from "../parts";
import { Bar, PullActions, PullError, lineOf } from "../pull";
import type { PullPlan } from "../records";
import * as say from "../strings";
import { PullQuestion } from "./pullquestion";

/** Asks the registry for a name that the catalog does not have, then offers to pull it. */
export function LookUp({ name, host }: { name: string; host: Host }) {
  const command = useCommand(host);
  const [plan, setPlan] = useState<PullPlan | null>(null);
  const ask = async () => {
    const answer = await command.run("plan_pull", { name });
    if (answer && "value" in answer) setPlan(answer.value);
  };
  if (plan) return <Found plan={plan} host={host} />;
  return (
    <>
      <Button kind="main" busy={command.busy} onClick={ask}>
        {command.busy ? say.lookingUp : say.lookUp(format.name(name))}
      </Button>
      <ErrorText error={command.error} />
    </>
  );
}

function Found({ plan, host }: { plan: PullPlan; host: Host }) {
  const off = useOff(host);
  const pull = usePull(host, plan.name);
  const command = useCommand(host);
  const active = pull && isActive(pull);
  const [asked, setAsked] = useState(false);
  const { fit } = plan;
  const run = () => {
    setAsked(false);
    void command.run("pull", { name: plan.name });
  };
  return (
    <div class="mw-plan">
      <p class="mw-text">
        <b>{plan.name}</b> <span class="mw-muted">{planWords(plan)}</span>{" "}
        {fit && <FitCell mark={fit} context={null} />}
      </p>
      {plan.reason && (
        <p class="mw-warn">
          <Sentence text={plan.reason} />
        </p>
      )}
      {active && (
        <>
          <Bar pull={pull} />
          <p class="mw-muted">{lineOf(pull)}</p>
        </>
      )}
      <div class="mw-actions">
        {active ? (
          <PullActions pull={pull} host={host} short />
        ) : (
          <Button
            kind="main"
            off={off}
            busy={command.busy}
            onClick={() => (fit?.verdict === "no" ? setAsked(true) : run())}
          >
            {command.busy ? say.pulling : say.pull}
          </Button>
        )}
      </div>
      {asked && fit && (
        <PullQuestion misfits={[{ name: plan.name, fit }]} host={host} onYes={run} onNo={() => setAsked(false)} />
      )}
      <PullError error={command.error} name={plan.name} host={host} />
    </div>
  );
}

/** The numbers of a plan that are worth saying. */
export function planWords(plan: PullPlan): string {
  const { total_bytes, present_bytes, partial_bytes, to_fetch_bytes, free_bytes, claimed_bytes } = plan;
  return [
    total_bytes === null ? say.planUnknown : say.planTotal(format.disk(total_bytes)),
    present_bytes > 0 && say.planPresent(format.disk(present_bytes)),
    partial_bytes > 0 && say.planPartial(format.disk(partial_bytes)),
    to_fetch_bytes !== null && to_fetch_bytes !== total_bytes && say.planFetch(format.disk(to_fetch_bytes)),
    free_bytes !== null && say.planFree(format.disk(free_bytes)),
    claimed_bytes > 0 && say.planClaimed(format.disk(claimed_bytes)),
  ]
    .filter(Boolean)
    .join(" · ");
}
