/**
 * Builds the page's assets into `modelwidgets/static`.
 *
 *     node build.mjs                  widget.js and widget.css
 *     node build.mjs --watch          the same, again after each change
 *     node build.mjs --test           bundles the tests and runs them
 *     node build.mjs --gallery DIR    the gallery page, into DIR
 */
import { spawnSync } from "node:child_process";
import { cpSync, globSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

import * as esbuild from "esbuild";

import { assets, common, here, widget } from "./bundle.mjs";

const [word, folder] = process.argv.slice(2);

if (word === "--watch") {
  const context = await esbuild.context({ ...widget, logLevel: "info" });
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
  mkdirSync(widget.outdir, { recursive: true });
  for (const { path, text } of await assets()) writeFileSync(path, text);
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
  const files = [outdir, join(here, "test")].flatMap((cwd) =>
    globSync("*.test.mjs", { cwd }).map((name) => join(cwd, name)),
  );
  const env = { ...process.env, LC_ALL: "en_US.UTF-8", TZ: "UTC", NODE_OPTIONS: "--enable-source-maps" };
  return spawnSync(process.execPath, ["--test", ...files], { env, stdio: "inherit" }).status;
}
