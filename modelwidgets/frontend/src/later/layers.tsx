import * as format from "../format";
import { Badge, Name } from "../parts";
import type { Layer, ModelDetails, StoredLayer } from "../records";
import * as say from "../strings";
import { Digest, layerKind } from "./facts";
import { CopyButton, LazyFold } from "./parts";
import { FoldTitle } from "./texts";

/** What a model is made of; where the store can be read, also who shares it and where it lies. */
export function Layers({ details: { manifest, layers, manifest_path } }: { details: ModelDetails }) {
  if (!manifest) return null;
  const shared = layers.filter(({ shared_with }) => shared_with.length > 0).length;
  const gist = [
    format.integer(manifest.layers.length),
    format.disk(manifest.total_bytes),
    shared > 0 && say.sharedLayers(shared),
  ];
  return (
    <>
      <LazyFold title={<FoldTitle title={say.layers} text={gist.filter(Boolean).join(" · ")} />}>
        {() => <LayerTable layers={layers.length > 0 ? layers : manifest.layers} />}
      </LazyFold>
      {layers.length > 0 && (
        <LazyFold title={<FoldTitle title={say.files} text={format.name(manifest_path ?? "")} />}>
          {() => <Files layers={layers} manifestPath={manifest_path} />}
        </LazyFold>
      )}
    </>
  );
}

function LayerTable({ layers }: { layers: readonly (Layer | StoredLayer)[] }) {
  const stored = layers.some((layer) => "shared_with" in layer);
  return (
    <div class="mw-wide-table" role="group" aria-label={say.layers} tabIndex={0}>
      <table class="mw-plain">
        <thead>
          <tr>
            <th scope="col">{say.layerWhat}</th>
            <th scope="col" class="mw-right">
              {say.size}
            </th>
            <th scope="col">{say.digest}</th>
            {stored && <th scope="col">{say.sharing}</th>}
          </tr>
        </thead>
        <tbody>
          {layers.map((layer, at) => (
            <tr key={`${at} ${layer.digest}`}>
              <td title={format.name(layer.media_type)}>{format.name(layerKind(layer.media_type))}</td>
              <td class="mw-right">{format.disk(layer.size_bytes)}</td>
              <td>
                <Digest digest={layer.digest} />
              </td>
              {stored && <td>{"shared_with" in layer && <Sharing layer={layer} />}</td>}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Sharing({ layer: { path, shared_with } }: { layer: StoredLayer }) {
  return (
    <>
      {path === null && <Badge tone="bad">{say.missing}</Badge>}
      {shared_with.length === 0
        ? path !== null && <span class="mw-muted">{say.notShared}</span>
        : shared_with.map(format.name).join(", ")}
    </>
  );
}

function Files({
  layers,
  manifestPath,
}: {
  layers: readonly StoredLayer[];
  manifestPath: string | null;
}) {
  const files: [what: string, path: string | null][] = [
    [say.manifestFile, manifestPath],
    ...layers.map(({ media_type, path }): [string, string | null] => [layerKind(media_type), path]),
  ];
  return (
    <ul class="mw-files">
      {files.map(([what, path], at) => (
        <li key={at}>
          <span class="mw-muted">{format.name(what)}</span>{" "}
          {path === null ? (
            <Badge tone="bad">{say.missing}</Badge>
          ) : (
            <>
              <Name name={path} />
              <CopyButton text={path} label={say.copyWhat(format.name(path))}>
                {say.copy}
              </CopyButton>
            </>
          )}
        </li>
      ))}
    </ul>
  );
}
