/**
 * Builds the page's assets into `modelwidgets/static`.
 *
 *     node build.mjs                  widget.js, later.js and widget.css
 *     node build.mjs --panel          the views of JupyterLab's panel, into lab/views
 *     node build.mjs --watch          the same, again after each change
 *     node build.mjs --test           bundles the tests and runs them
 *     node build.mjs --gallery DIR    the gallery page, into DIR
 */
import { spawnSync } from "node:child_process";
import { cpSync, globSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

import * as esbuild from "esbuild";

import { assets, common, finished, here, outdir, panel, parts } from "./bundle.mjs";

const [word, folder] = process.argv.slice(2);

if (word === "--watch") {
  const written = { name: "written", setup: (build) => build.onEnd(writeAgain) };
  const context = await esbuild.context({ ...parts, logLevel: "info", plugins: [...parts.plugins, written] });
  await context.watch();
} else if (word === "--panel") {
  rmSync(panel.outdir, { recursive: true, force: true });
  await esbuild.build(panel);
} else if (word === "--test") {
  process.exitCode = await test();
} else if (word === "--gallery") {
  const to = resolve(folder);
  await esbuild.build({
    ...common,
    format: "iife",
    entryPoints: ["gallery/gallery.tsx", "gallery/gallery.css"],
    outdir: to,
  });
  cpSync(join(here, "gallery/index.html"), join(to, "index.html"));
} else {
  write(await assets());
}

function write(all) {
  mkdirSync(outdir, { recursive: true });
  for (const { path, text } of all) writeFileSync(path, text);
}

/** After each change; a build that failed has said why. */
async function writeAgain(result) {
  if (result.errors.length === 0) write(await finished(result));
}

/** Tests run on bundles, because Node reads no TSX; in one locale, so that numbers read the same. */
async function test() {
  const bundled = join(here, ".cache/tests");
  rmSync(bundled, { recursive: true, force: true });
  await esbuild.build({
    ...common,
    entryPoints: globSync("test/*.test.{ts,tsx}", { cwd: here }),
    outdir: bundled,
    outExtension: { ".js": ".mjs" },
    platform: "node",
    target: "node22",
    sourcemap: "inline",
  });
  const files = [bundled, join(here, "test")].flatMap((cwd) =>
    globSync("*.test.mjs", { cwd }).map((name) => join(cwd, name)),
  );
  const env = { ...process.env, LC_ALL: "en_US.UTF-8", TZ: "UTC", NODE_OPTIONS: "--enable-source-maps" };
  return spawnSync(process.execPath, ["--test", ...files], { env, stdio: "inherit" }).status;
}
