// Builds the page. `node build.mjs` writes `page/`, which is committed, so that `cargo build` needs no Node;
// `node build.mjs --static` writes `site/`, the same page without a server, after `build-site` made the core for it.
import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { build, transform } from "esbuild";

const here = new URL(".", import.meta.url);
const alone = process.argv[2] === "--static";
const named = alone ? process.argv[3] : process.argv[2];
const out = named ? pathToFileURL(`${named}/`) : new URL(alone ? "site/" : "page/", here);
await mkdir(out, { recursive: true });

const made = await build({
  entryPoints: [new URL(`src/${alone ? "static" : "served"}.js`, here).pathname],
  bundle: true,
  minify: true,
  format: alone ? "esm" : "iife",
  target: ["es2022"],
  charset: "utf8",
  legalComments: "none",
  write: false,
});
const css = await transform(await readFile(new URL("src/play.css", here), "utf8"), { loader: "css", minify: true });
let html = await readFile(new URL("src/index.html", here), "utf8");
if (alone) {
  // Where there is no server to say so, the page itself says what it may load.
  const policy = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'";
  html = html
    .replace('<meta charset="utf-8">', `<meta charset="utf-8">\n<meta http-equiv="Content-Security-Policy" content="${policy}">`)
    .replace('<script src="play.js" defer>', '<script src="play.js" type="module">');
  await copyFile(new URL("wasm/bound/claimsmith_bg.wasm", here), new URL("claimsmith.wasm", out));
}
const files = { "index.html": html, "play.js": made.outputFiles[0].contents, "play.css": css.code };
let size = 0;
for (const [name, text] of Object.entries(files)) {
  await writeFile(new URL(name, out), text);
  const packed = gzipSync(text, { level: 9 }).length;
  size += packed;
  console.log(`${name}: ${(packed / 1024).toFixed(1)} KiB compressed`);
}
if (size > 200 * 1024) throw new Error(`the page has ${size} bytes, and at most 200 KiB are allowed`);
