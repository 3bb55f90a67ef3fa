import * as format from "./format";
import { useSlice } from "./hooks";
import type { Host } from "./host";
import { Later } from "./laterpart";
import type { DiskUsage } from "./records";
import * as say from "./strings";

/** How much lies on the disk, and where that is known, what by model. */
export function DiskBar({ host }: { host: Host }) {
  const disk = useSlice(host, "disk");
  if (!disk) return null;
  return (
    <div class="mw-disk">
      <Total disk={disk} />
      <Later host={host} wanted={false} draw={({ DiskPieces }) => <DiskPieces disk={disk} host={host} />} />
    </div>
  );
}

function Total({ disk }: { disk: DiskUsage }) {
  const used = format.disk(disk.used_bytes);
  const title = [
    disk.path,
    disk.partial_bytes ? say.unfinished(format.disk(disk.partial_bytes)) : null,
    disk.exact ? null : say.atMostWhy,
  ];
  return (
    <span class="mw-fact" title={title.filter(Boolean).join("\n")}>
      <span>
        {say.disk} <b>{disk.exact ? used : say.atMost(used)}</b>
      </span>
      {disk.free_bytes !== null && <span class="mw-muted">{say.diskFree(format.disk(disk.free_bytes))}</span>}
    </span>
  );
}
