import { useState } from "preact/hooks";

import { useConnection, useFailure, useSlice, useVersion } from "./hooks";
import type { CallError, Host } from "./host";
import { Later } from "./laterpart";
import { Button, CommandButton, Sentence } from "./parts";
import type { ServiceStatus } from "./records";
import * as say from "./strings";
import { PAGE_VERSION, skew } from "./version";

/** What is wrong with the way to the kernel, for as long as it is. */
export function ConnectionTrouble({ host, long }: { host: Host; long: boolean }) {
  const connection = useConnection(host);
  const failure = useFailure(host);
  const version = useVersion(host);
  if (connection === "lost") return <Banner tone="error" text={host.lost.reason} />;
  if (connection === "waiting") return <Banner tone="warning" text={long ? say.waitingLong : say.waiting} />;
  if (failure) return <Failure host={host} failure={failure} />;
  const how = version === null ? null : skew(version);
  if (how) {
    const words = how === "newer" ? say.pageIsOld : say.kernelIsOld;
    return <Banner tone="warning" text={words(PAGE_VERSION, version as string)} />;
  }
  return null;
}

/** The kernel is there, but what it was to start did not start. */
function Failure({ host, failure }: { host: Host; failure: CallError }) {
  return (
    <div class="mw-banner mw-banner-error" role="alert">
      <div class="mw-text">
        <b>{say.startFailed}</b>{" "}
        <Sentence text={failure.message} />
      </div>
      <div class="mw-actions">
        <CommandButton
          host={host}
          method="hello"
          params={{}}
          label={say.tryAgain}
          busyLabel={say.startingIt}
          silent
        />
      </div>
    </div>
  );
}

/** What is wrong with the service, and the ways out of it. */
export function ServiceTrouble({ host }: { host: Host }) {
  const service = useSlice(host, "service");
  if (service === null || service.state === "running") return null;
  const { state, url, local } = service;
  const [what, why] = whatAndWhy(service, WORDS[state](url));
  return (
    <div class={`mw-banner mw-banner-${state === "starting" ? "warning" : "error"}`} role="status">
      <div class="mw-text">
        <b>
          <Sentence text={what} />
        </b>{" "}
        <span class="mw-muted">
          <Sentence text={why} />
        </span>
      </div>
      <div class="mw-actions">
        {local && (state === "stopped" || state === "unreachable") && (
          <CommandButton
            host={host}
            method="start_service"
            params={{}}
            label={say.startIt}
            busyLabel={say.startingIt}
            kind="main"
          />
        )}
        {(state === "hung" || state === "starting") && (
          <CommandButton
            host={host}
            method="refresh"
            params={{}}
            label={say.tryAgain}
            busyLabel={say.refreshing}
          />
        )}
        {state !== "starting" && (
          <CommandButton
            host={host}
            method="use_embedded"
            params={{}}
            label={say.useEmbedded}
            busyLabel={say.startingIt}
          />
        )}
        <ConnectElsewhere host={host} />
      </div>
    </div>
  );
}

/** What is wrong, and the rest; a reason that names the address says both, in whole. */
export function whatAndWhy({ reason, url }: ServiceStatus, words: string): [string, string] {
  if (!reason?.includes(url)) return [words, reason ?? ""];
  const end = reason.search(/\.\s/) + 1;
  return end > 0 ? [reason.slice(0, end), reason.slice(end).trim()] : [reason, ""];
}

const WORDS: Record<Exclude<ServiceStatus["state"], "running">, (url: string) => string> = {
  stopped: say.noServer,
  unreachable: say.noServer,
  starting: say.serverStarting,
  hung: say.serverHung,
  foreign: say.notOllama,
};

/** A button that becomes the field for another address. */
export function ConnectElsewhere({ host, kind = "plain" }: { host: Host; kind?: "plain" | "quiet" }) {
  const [open, setOpen] = useState(false);
  if (open) {
    return <Later host={host} draw={({ Connect }) => <Connect host={host} onClose={() => setOpen(false)} />} />;
  }
  return (
    <Button kind={kind} expanded={false} onClick={() => setOpen(true)}>
      {say.connectElsewhere}
    </Button>
  );
}

/** What is worth knowing of a service that runs. */
export function ServiceNotes({ host }: { host: Host }) {
  const service = useSlice(host, "service");
  const { stale } = useSlice(host, "installed");
  const damaged = useSlice(host, "disk")?.damaged ?? [];
  if (service?.state !== "running") return null;
  return (
    <>
      {service.sample_registry && (
        <Banner tone="info" text={say.sampleRegistry} title={service.sample_registry} />
      )}
      {service.old && <Banner tone="warning" text={service.old} />}
      {stale && <Banner tone="warning" text={stale} />}
      {damaged.length > 0 && (
        <Banner tone="warning" text={say.damaged(damaged.length, damaged[0] as string)} title={damaged.join("\n")} />
      )}
    </>
  );
}

function Banner({ tone, text, title }: { tone: "info" | "warning" | "error"; text: string; title?: string }) {
  return (
    <div class={`mw-banner mw-banner-${tone}`} role="status" title={title}>
      <Sentence text={text} />
    </div>
  );
}
