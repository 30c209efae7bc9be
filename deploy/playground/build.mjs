// Builds the page: `node build.mjs` writes `page/`, which is committed, so that `cargo build` needs no Node.
import { readFile, writeFile, mkdir } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { build, transform } from "esbuild";

const here = new URL(".", import.meta.url);
const out = process.argv[2] ? pathToFileURL(`${process.argv[2]}/`) : new URL("page/", here);
await mkdir(out, { recursive: true });

const made = await build({
  entryPoints: [new URL("src/main.js", here).pathname],
  bundle: true,
  minify: true,
  format: "iife",
  target: ["es2022"],
  charset: "utf8",
  legalComments: "none",
  write: false,
});
const css = await transform(await readFile(new URL("src/play.css", here), "utf8"), { loader: "css", minify: true });
const files = {
  "index.html": await readFile(new URL("src/index.html", here)),
  "play.js": made.outputFiles[0].contents,
  "play.css": css.code,
};
let size = 0;
for (const [name, text] of Object.entries(files)) {
  await writeFile(new URL(name, out), text);
  const packed = gzipSync(text, { level: 9 }).length;
  size += packed;
  console.log(`${name}: ${(packed / 1024).toFixed(1)} KiB compressed`);
}
if (size > 200 * 1024) throw new Error(`the page has ${size} bytes, and at most 200 KiB are allowed`);
