// Bundles the pages' scripts and styles into dist/, which the cordon binary embeds.
import { build } from "esbuild";
import { cpSync, rmSync } from "node:fs";

rmSync("dist", { recursive: true, force: true });
const watch = { logLevel: "warning", bundle: true, minify: true, sourcemap: false, legalComments: "none", outdir: "dist", target: ["es2022"] };
await build({
  ...watch,
  entryPoints: { page: "src/page.ts", lab: "src/lab.ts" },
  format: "esm",
  splitting: true,
  chunkNames: "chunk-[hash]",
});
await build({ ...watch, entryPoints: { style: "styles/main.css", terminal: "styles/terminal.css" } });
cpSync("public", "dist", { recursive: true });
