import { Component, type ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";

import { Announcer } from "./announcer";
import { Catalog } from "./catalog";
import { DiskBar } from "./diskbar";
import { Header } from "./header";
import { useConnection, useFailure, useOptions, useSlice, useVersion } from "./hooks";
import type { Host } from "./host";
import { Installed } from "./installed";
import { useLaterPart, usePrefetch } from "./laterpart";
import { Empty } from "./parts";
import { OnePull, Pulls } from "./pulls";
import * as say from "./strings";
import { Tabs } from "./tabs";
import { ConnectElsewhere, ConnectionTrouble, ServiceNotes, ServiceTrouble } from "./trouble";

/** After this long "a cell is running" is no longer the likeliest reason of a silence. */
const LONG_SILENCE_MS = 30_000;

/** The whole view that Python asked for. */
export function App({ host }: { host: Host }) {
  const { view, only } = useOptions(host);
  const connection = useConnection(host);
  const version = useVersion(host);
  const failure = useFailure(host);
  const long = useLasting(connection === "waiting");
  const opening = useSlice(host, "service") === null && version === null;
  usePrefetch(host, version !== null && view !== "pulls");
  const later = useLaterPart(host);
  const bare = view === "pulls" && only !== "";
  return (
    <div class={`mw${connection === "lost" ? " mw-lost" : ""}`} role="region" aria-label={say.manager}>
      {later?.css && <style>{later.css}</style>}
      <Guard>
        {!bare && !opening && <Header host={host} slim={view !== "manager"} />}
        <ConnectionTrouble host={host} long={long} />
        {!bare && <ServiceTrouble host={host} />}
        {!bare && <ServiceNotes host={host} />}
        {view === "manager" && !opening && <DiskBar host={host} />}
        <div class="mw-body">{opening ? !failure && <Empty text={say.loading} /> : <Part host={host} />}</div>
        {view === "manager" && !opening && <Footer host={host} />}
        <Announcer host={host} />
      </Guard>
    </div>
  );
}

function Part({ host }: { host: Host }) {
  const { view, only } = useOptions(host);
  if (view === "installed") return <Installed host={host} />;
  if (view === "catalog") return <Catalog host={host} />;
  if (view === "pulls") return only ? <OnePull host={host} only={only} /> : <Pulls host={host} />;
  return <Tabs host={host} />;
}

/** Whose view this is, and the way to another server. */
function Footer({ host }: { host: Host }) {
  const service = useSlice(host, "service");
  const version = useVersion(host);
  return (
    <div class="mw-footer mw-muted">
      {service && <span>{say.viewOf(service.viewer)}</span>}
      {version !== null && <span>{say.versionOf(version)}</span>}
      <span class="mw-grow" />
      {service?.state === "running" && <ConnectElsewhere host={host} kind="quiet" />}
    </div>
  );
}

/** Whether something has been so for long. */
function useLasting(so: boolean): boolean {
  const [lasting, setLasting] = useState(false);
  useEffect(() => {
    setLasting(false);
    if (!so) return undefined;
    const timer = setTimeout(() => setLasting(true), LONG_SILENCE_MS);
    return () => clearTimeout(timer);
  }, [so]);
  return lasting;
}

/** Shows words where a view failed to draw, in place of nothing at all; the console has the rest. */
class Guard extends Component<{ children: ComponentChildren }, { failed: boolean }> {
  override state = { failed: false };

  static override getDerivedStateFromError() {
    return { failed: true };
  }

  override componentDidCatch(error: unknown) {
    console.error("modelwidgets:", error);
  }

  override render() {
    return this.state.failed ? (
      <div class="mw-error" role="alert">
        {say.brokenView}
      </div>
    ) : (
      this.props.children
    );
  }
}
