// A playground that runs, and a page of it in a real Chromium.
import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

export const BIN = process.env.CLAIMSMITH_BIN ?? new URL("../../../target/shipped/claimsmith", import.meta.url).pathname;

export const RULE = `receiver = "supabase"

[call.user]
url = "https://api.acme.example/me"

[call.emails]
url = "https://api.acme.example/users/\${user.id}/emails"

[claims]
sub   = "$.user.id"
email = "$.emails[?@.primary == true].address"
name  = ["$.user.name", "$.user.login"]
`;
export const CASES = `[[case]]
name = "a login"

[[case.answer]]
url  = "https://api.acme.example/me"
json = '{"id": 9007199254740993, "login": "ada", "name": "Ada Example", "verified": "true", "deep": {"list": [1, 2]}}'

[[case.answer]]
url  = "https://api.acme.example/users/9007199254740993/emails"
json = '[{"address": "old@engines.example", "primary": false}, {"address": "ada@engines.example", "primary": true}]'

[case.claims]
sub   = "9007199254740993"
email = "ada@engines.example"
name  = "Ada Example"
`;

/** The environment without settings. */
const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("CLAIMSMITH_")));

/** Runs the program to its end. */
export function run(...args) {
  return new Promise((resolve) => {
    const child = spawn(BIN, args, { env, stdio: ["ignore", "pipe", "pipe"] });
    let out = "";
    child.stdout.on("data", (data) => (out += data));
    child.stderr.on("data", (data) => (out += data));
    child.on("close", (code) => resolve({ code, out }));
  });
}

/** A folder of rules. */
export async function folder(files) {
  const path = await mkdtemp(join(tmpdir(), "playground-"));
  for (const [name, text] of Object.entries(files)) await writeFile(join(path, name), text);
  return { path, remove: () => rm(path, { recursive: true }) };
}

/** `claimsmith play`; gives its address and what ends it. */
export async function serve(...args) {
  const child = spawn(BIN, ["play", ...args], { env, stdio: ["ignore", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout });
  for await (const line of lines) {
    const link = line.match(/http:\S+/);
    if (link) return { link: link[0], stop: () => new Promise((done) => (child.once("close", done), child.kill())) };
  }
  throw new Error("the playground does not start");
}

let browser;

/** The browser that the operating system has. */
export async function start() {
  browser ??= await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
  });
  return browser;
}

export async function stop() {
  await browser?.close();
}

/** A page at an address. Whatever it asks of another origin, and whatever it complains of, is noted. */
export async function open(link, options = {}) {
  const context = await (await start()).newContext({ viewport: { width: 1440, height: 900 }, ...options });
  const page = await context.newPage();
  const origin = new URL(link).origin;
  const foreign = [];
  const complaints = [];
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(`${origin}/`) && !url.startsWith("data:") && !url.startsWith("blob:")) foreign.push(url);
  });
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.goto(link);
  await page.waitForSelector("body[data-ready][data-ran]");
  return { page, context, foreign, complaints, close: () => context.close() };
}

/** Puts a text in the place of the one that an editor has, as if it was pasted. */
export async function put(page, text, which = "rule") {
  await page.click(`#tab-${which}`);
  await page.click(`#text-${which} .cm-content`);
  await page.keyboard.press("Control+A");
  await page.keyboard.insertText(text);
}

/** Sets the cursor behind the first place of a text. */
export async function cursor(page, after) {
  await page.evaluate(async (after) => {
    const content = document.querySelector("#text-rule").shadowRoot.querySelector(".cm-content");
    const view = content.cmTile?.view ?? content.cmView?.view ?? content.cmView?.rootView?.view;
    const at = view.state.doc.toString().indexOf(after);
    if (at < 0) throw new Error(`no ${after}`);
    view.dispatch({ selection: { anchor: at + after.length } });
    view.focus();
  }, after);
}

/** The text of the rule. */
export const text = (page, which = "rule") =>
  page.evaluate((which) => {
    const content = document.querySelector(`#text-${which}`).shadowRoot.querySelector(".cm-content");
    const view = content.cmTile?.view ?? content.cmView?.view ?? content.cmView?.rootView?.view;
    return view.state.doc.toString();
  }, which);

/** The claims that are shown, as `name = value`. */
export const claims = (page) =>
  page.$$eval("#claims tr[data-claim]", (rows) =>
    rows.map((row) => `${row.dataset.claim} = ${row.querySelector(".shown")?.textContent ?? ""}`),
  );
