/**
 * Builds the page's assets into `modelwidgets/static`.
 *
 *     node build.mjs                  widget.js and widget.css
 *     node build.mjs --watch          the same, again after each change
 *     node build.mjs --test           bundles the tests and runs them
 *     node build.mjs --gallery DIR    the gallery page, into DIR
 */
import { spawnSync } from "node:child_process";
import { cpSync, globSync, readFileSync, rmSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

import * as esbuild from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const [word, folder] = process.argv.slice(2);

const version = /^__version__ = "(.+)"/m.exec(readFileSync(join(here, "../__init__.py"), "utf8"))[1];

const common = {
  define: { MODELWIDGETS_VERSION: JSON.stringify(version) },
  absWorkingDir: here,
  bundle: true,
  format: "esm",
  target: ["es2022", "chrome111", "firefox115", "safari16.4"],
  jsx: "automatic",
  jsxImportSource: "preact",
  logLevel: "warning",
};

const widget = {
  ...common,
  entryPoints: [
    { in: "src/widget.ts", out: "widget" },
    { in: "src/styles.css", out: "widget" },
  ],
  outdir: resolve(here, "../static"),
  minify: true,
  legalComments: "none",
};

if (word === "--watch") {
  const context = await esbuild.context({ ...widget, minify: false, logLevel: "info" });
  await context.watch();
} else if (word === "--test") {
  process.exitCode = await test();
} else if (word === "--gallery") {
  const outdir = resolve(folder);
  await esbuild.build({
    ...common,
    format: "iife",
    entryPoints: ["gallery/gallery.tsx", "gallery/gallery.css"],
    outdir,
  });
  cpSync(join(here, "gallery/index.html"), join(outdir, "index.html"));
} else {
  await esbuild.build(widget);
}

/** Tests run on bundles, because Node reads no TSX; in one locale, so that numbers read the same. */
async function test() {
  const outdir = join(here, ".cache/tests");
  rmSync(outdir, { recursive: true, force: true });
  await esbuild.build({
    ...common,
    entryPoints: globSync("test/*.test.{ts,tsx}", { cwd: here }),
    outdir,
    outExtension: { ".js": ".mjs" },
    platform: "node",
    target: "node22",
    sourcemap: "inline",
  });
  const files = globSync("*.test.mjs", { cwd: outdir }).map((name) => join(outdir, name));
  const env = { ...process.env, LC_ALL: "en_US.UTF-8", TZ: "UTC", NODE_OPTIONS: "--enable-source-maps" };
  return spawnSync(process.execPath, ["--test", ...files], { env, stdio: "inherit" }).status;
}
