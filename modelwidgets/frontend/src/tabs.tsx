import { useCallback, useRef, useState } from "preact/hooks";

import { Catalog } from "./catalog";
import { stepOf } from "./focus";
import * as format from "./format";
import { useHost, useOptions, useUniqueId } from "./hooks";
import type { Host, Options } from "./host";
import { Installed } from "./installed";
import { memo } from "./memo";
import { Notices } from "./notices";
import { PullStrip, Pulls } from "./pulls";
import { useShowModel } from "./showing";
import * as say from "./strings";

type Tab = Options["tab"];

// A tab's count changes more often than what is behind it.
const InstalledPart = memo(Installed);
const CatalogPart = memo(Catalog);
const TITLES: Record<Tab, string> = { installed: say.installed, catalog: say.catalog, pulls: say.pulls };
const TABS = Object.keys(TITLES) as Tab[];

/**
 * The parts of the manager behind tabs, with counts. A part that was once shown stays, hidden, so that
 * its search and its open row are still there when the user comes back.
 */
export function Tabs({ host }: { host: Host }) {
  const first = useOptions(host).tab;
  const [tab, setTab] = useState<Tab>(first);
  const [visited, setVisited] = useState<readonly Tab[]>([first]);
  const strip = useRef<HTMLDivElement>(null);
  const id = useUniqueId();
  const counts = useCounts(host);
  const choose = useCallback((next: Tab) => {
    setTab(next);
    setVisited((before) => (before.includes(next) ? before : [...before, next]));
  }, []);
  const browse = useCallback(() => choose("catalog"), [choose]);
  useShowModel(host, () => choose("installed"));
  const onKeyDown = (event: KeyboardEvent) => {
    const to = stepOf(event, TABS.indexOf(tab), TABS.length);
    if (to === null) return;
    const index = (to + TABS.length) % TABS.length;
    choose(TABS[index] as Tab);
    strip.current?.querySelectorAll<HTMLElement>("[role=tab]")[index]?.focus();
  };
  const parts = {
    installed: <InstalledPart host={host} onBrowse={browse} />,
    catalog: <CatalogPart host={host} />,
    pulls: <Pulls host={host} onBrowse={browse} />,
  };
  return (
    <>
      <Notices host={host} apart={tab === "pulls"} />
      <div class="mw-tabs" role="tablist" aria-label={say.parts} ref={strip} onKeyDown={onKeyDown}>
        {TABS.map((one) => (
          <button
            key={one}
            type="button"
            role="tab"
            id={`${id}-${one}`}
            aria-controls={`${id}-${one}-panel`}
            aria-selected={one === tab}
            tabIndex={one === tab ? 0 : -1}
            onClick={() => choose(one)}
          >
            {TITLES[one]}
            {counts[one] !== null && <span class="mw-count">{format.integer(counts[one])}</span>}
          </button>
        ))}
      </div>
      {TABS.map((one) => (
        <div
          key={one}
          role="tabpanel"
          id={`${id}-${one}-panel`}
          aria-labelledby={`${id}-${one}`}
          hidden={one !== tab}
        >
          {visited.includes(one) && parts[one]}
        </div>
      ))}
      {tab !== "pulls" && <PullStrip host={host} onMore={() => choose("pulls")} />}
    </>
  );
}

/** How many rows each part has, 0 included; null while that is not known. */
function useCounts(host: Host): Record<Tab, number | null> {
  const installed = useHost(host, "installed", () => {
    const { as_of, models } = host.get("installed");
    return as_of === null ? null : models.length;
  });
  const catalog = useHost(host, "catalog", () => host.get("catalog")?.models.length ?? null);
  const pulls = useHost(host, "pulls", () => host.get("pulls").length);
  return { installed, catalog, pulls };
}
