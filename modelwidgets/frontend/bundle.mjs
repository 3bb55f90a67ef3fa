/** What all builds share, and the page's assets as they are shipped: bundled, shortened, measured. */
import { readFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

import * as esbuild from "esbuild";
import { minify } from "terser";

export const here = dirname(fileURLToPath(import.meta.url));

const version = /^__version__ = "(.+)"/m.exec(readFileSync(join(here, "../__init__.py"), "utf8"))[1];

export const common = {
  define: { MODELWIDGETS_VERSION: JSON.stringify(version) },
  absWorkingDir: here,
  bundle: true,
  format: "esm",
  target: ["es2022", "chrome111", "firefox115", "safari16.4"],
  tsconfigRaw: { compilerOptions: { jsx: "react", jsxFactory: "h", jsxFragmentFactory: "Fragment" } },
  inject: [join(here, "src/jsx.ts")],
  logLevel: "warning",
};

export const widget = {
  ...common,
  entryPoints: [
    { in: "src/widget.ts", out: "widget" },
    { in: "src/styles.css", out: "widget" },
  ],
  outdir: resolve(here, "../static"),
};

/** esbuild shortens a file at a time; terser then puts what is used once where it is used. */
const SHORTER = {
  ecma: 2022,
  module: true,
  compress: { passes: 3, pure_getters: true, unsafe_arrows: true },
};

/** The assets: of each its path, its text, and how many bytes come of which source. */
export async function assets() {
  const { outputFiles, metafile } = await esbuild.build({
    ...widget,
    minify: true,
    legalComments: "none",
    metafile: true,
    write: false,
  });
  const outputs = Object.entries(metafile.outputs);
  return Promise.all(
    outputFiles.map(async ({ path, text }) => {
      const { inputs } = outputs.find(([out]) => basename(out) === basename(path))[1];
      return {
        path,
        text: path.endsWith(".js") ? (await minify(text, SHORTER)).code : text,
        sources: Object.entries(inputs)
          .map(([source, { bytesInOutput }]) => [source, bytesInOutput])
          .sort(([, one], [, other]) => other - one),
      };
    }),
  );
}

/** What a browser fetches of it. */
export const gzipped = (text) => gzipSync(text, { level: 9 }).length;
