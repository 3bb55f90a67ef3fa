/**
 * What all builds share, and the page's assets as they are shipped: bundled, shortened, measured.
 *
 * The page's script is one module text in a cell, so what is drawn only on request (`src/later`) is a
 * second text, which the kernel hands out. esbuild finds the modules that both need and puts them into
 * a chunk of their own; that is bundled into the first part, which gives the second part what it has.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

import * as esbuild from "esbuild";
import { minify } from "terser";

export const here = dirname(fileURLToPath(import.meta.url));
export const outdir = resolve(here, "../static");

const version = /^__version__ = "(.+)"/m.exec(readFileSync(join(here, "../__init__.py"), "utf8"))[1];

const base = {
  define: { MODELWIDGETS_VERSION: JSON.stringify(version) },
  absWorkingDir: here,
  bundle: true,
  format: "esm",
  target: ["es2022", "chrome111", "firefox115", "safari16.4"],
  tsconfigRaw: { compilerOptions: { jsx: "react", jsxFactory: "h", jsxFragmentFactory: "Fragment" } },
  inject: [join(here, "src/jsx.ts")],
  logLevel: "warning",
};

const SHARED = "modelwidgets:shared";

/** For the gallery and the tests, which hold both parts and their rules at once. */
export const common = { ...base, plugins: [modules({ [SHARED]: "export {}", "./later.css": "export default ''" })] };

/** The two parts as modules, and the chunk of what both need. */
export const parts = {
  ...base,
  define: { ...base.define, MODELWIDGETS_LATER: '"MODELWIDGETS_LATER"' },
  entryPoints: [
    { in: "src/widget.ts", out: "widget" },
    { in: "src/later/index.ts", out: "later" },
    { in: "src/styles.css", out: "widget" },
  ],
  external: [SHARED],
  splitting: true,
  chunkNames: "shared",
  outdir,
  minify: true,
  legalComments: "none",
  metafile: true,
  write: false,
  plugins: [ownWords(), cssAsText()],
};

/** esbuild shortens a file at a time; terser then puts what is used once where it is used. */
const SHORTER = {
  ecma: 2022,
  module: true,
  compress: { passes: 3, pure_getters: true, unsafe_arrows: true },
};

/**
 * The assets: of each its path, its text, and how many bytes come of which source. With their names as
 * in the sources a test can read them.
 */
export async function assets({ mangle = true } = {}) {
  return finished(await esbuild.build({ ...parts, minifyIdentifiers: mangle }), mangle);
}

/** The assets of a build of `parts`. */
export async function finished({ outputFiles, metafile }, mangle = true) {
  const shortest = async (text) => (await minify(text, { ...SHORTER, mangle })).code;
  const text = (name) => outputFiles.find(({ path }) => basename(path) === name).text;
  const output = (name) => Object.entries(metafile.outputs).find(([path]) => basename(path) === name)[1];
  const sources = (...names) =>
    names
      .flatMap((name) => Object.entries(output(name).inputs))
      .map(([source, { bytesInOutput }]) => [source, bytesInOutput])
      .sort(([, one], [, other]) => other - one);
  const shared = text("shared.js");
  const taken = namesFrom("./shared.js", text("later.js"));
  const given = `export const {${taken}}=given`;
  const later = await joined(text("later.js"), { "./shared.js": given }, { format: "iife", globalName: "part" });
  const body = await shortest(`export default given=>{${later}return part}`);
  // The names that the parts know each other's modules by change with each of them, so they fit only each other.
  const build = createHash("sha256").update(shared).update(body).digest("hex").slice(0, 16);
  const first = await joined(text("widget.js"), {
    "./shared.js": shared,
    [SHARED]: `export {${taken}} from "./shared.js"`,
  });
  const named = first.replaceAll("MODELWIDGETS_LATER", build);
  return [
    { name: "widget.js", text: await shortest(named), sources: sources("widget.js", "shared.js") },
    { name: "later.js", text: `/*${build}*/${body}`, sources: sources("later.js") },
    { name: "widget.css", text: text("widget.css"), sources: sources("widget.css") },
  ].map((asset) => ({ ...asset, path: join(outdir, asset.name) }));
}

/** What a module imports from another. */
function namesFrom(from, script) {
  const [, clause] = new RegExp(`\\bimport\\{([^}]*)\\}from"${from.replaceAll(".", "\\.")}"`).exec(script);
  return clause.split(",").map((name) => name.split(" as ")[0]);
}

/** One text of one module and those it imports. */
async function joined(contents, imports, options = {}) {
  const { outputFiles } = await esbuild.build({
    ...base,
    ...options,
    inject: [], // what tags become is in these texts already
    stdin: { contents },
    minifyWhitespace: true,
    minifySyntax: true,
    write: false,
    plugins: [modules(imports)],
  });
  return outputFiles[0].text;
}

/** Modules by what is written where they are imported. */
function modules(texts) {
  const escaped = Object.keys(texts).map((name) => name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return {
    name: "modules",
    setup(build) {
      build.onResolve({ filter: new RegExp(`^(?:${escaped.join("|")})$`) }, ({ path, kind }) =>
        kind === "import-statement" ? { path, namespace: "modules" } : null,
      );
      build.onLoad({ filter: /.*/, namespace: "modules" }, (args) => ({ contents: texts[args.path] }));
    },
  };
}

/** The later part has its words itself: of a module that both need, all that either uses comes first. */
function ownWords() {
  return {
    name: "own words",
    setup(build) {
      build.onResolve({ filter: /^\.\.\/strings$/ }, ({ resolveDir }) => ({
        path: resolve(resolveDir, "../strings.ts"),
        suffix: "?later",
      }));
    },
  };
}

/** A style sheet that a script imports is its text, in one piece and shortened. */
function cssAsText() {
  return {
    name: "css as text",
    setup(build) {
      build.onResolve({ filter: /\.css$/ }, ({ kind, path, resolveDir }) =>
        kind === "import-statement"
          ? { path: relative(here, resolve(resolveDir, path)), namespace: "css as text" }
          : null,
      );
      build.onLoad({ filter: /.*/, namespace: "css as text" }, async ({ path }) => {
        const { outputFiles, metafile } = await esbuild.build({
          ...base,
          entryPoints: [path],
          minify: true,
          write: false,
          metafile: true,
        });
        const watchFiles = Object.keys(metafile.inputs).map((input) => resolve(here, input));
        return { contents: outputFiles[0].text.trim(), loader: "text", watchFiles };
      });
    },
  };
}

/** The same views as modules for JupyterLab's own bundler, which loads them when the panel is shown. */
export const panel = {
  ...base,
  entryPoints: ["src/panel.ts", { in: "src/styles.css", out: "panel" }],
  splitting: true,
  chunkNames: "[name]",
  outdir: join(here, "lab/views"),
  minify: true,
  legalComments: "none",
  plugins: [cssAsText()],
};

/** What a browser fetches of it. */
export const gzipped = (text) => gzipSync(text, { level: 9 }).length;
