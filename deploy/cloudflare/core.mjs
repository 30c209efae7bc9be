// Requests in, the core (WebAssembly), `fetch` out. Nothing of a rule is known here.
//
// The core is asked for a step and says what it wants to know by `ask` and `wait`; when an answer came it is asked for
// the next step. If it traps, whoever it was answering gets a 500 and the next request finds a new one.
import { __wbg_reset_state as reset, Gateway, initSync } from "./claimsmith.js";
import module from "./claimsmith.wasm";

const TIMEOUT = 1;
const NO_CONNECTION = 2;
const TOO_LARGE = 3;
const UNKNOWN_ENCODING = 4;
const BROKEN = 5;
const BODY_TOO_LARGE = 1;
const BODY_BROKE_OFF = 2;

const write = [console.log, console.warn, console.error];
const nothing = new Uint8Array(0);

class TooLarge extends Error {}

/** Headers in one text: name and value in turn, a line each. */
function text(headers) {
  let lines = "";
  for (const [name, value] of headers) lines += `${name}\n${value}\n`;
  return lines;
}

function pairs(text) {
  const lines = text.split("\n");
  const headers = [];
  for (let at = 0; at + 1 < lines.length; at += 2) headers.push([lines[at], lines[at + 1]]);
  return headers;
}

/** A body, whole, and no more of it than may be. */
async function receive(stream, most) {
  const pieces = [];
  let length = 0;
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.byteLength;
    if (length > most) {
      reader.cancel().catch(() => {});
      throw new TooLarge();
    }
    pieces.push(value);
  }
  if (pieces.length === 1) return pieces[0];
  const whole = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.byteLength;
  }
  return whole;
}

/** The body of an answer; the platform has undone gzip and brotli, and the bound is for what comes out. */
async function answer(response, most) {
  if (!response.body) return nothing;
  const length = Number(response.headers.get("content-length") ?? NaN);
  if (length > most) throw new TooLarge();
  const encoding = (response.headers.get("content-encoding") ?? "").trim().toLowerCase();
  if (encoding === "" && length <= most) return new Uint8Array(await response.arrayBuffer());
  if (["", "identity", "gzip", "x-gzip", "br"].includes(encoding)) return receive(response.body, most);
  if (encoding === "deflate") return receive(response.body.pipeThrough(new DecompressionStream("deflate")), most);
  return undefined;
}

/** A request on its way: what the core may ask of the outside. */
class Visit {
  open = new Set();
  timers = new Set();

  /** Answers by `settle` when the core has an answer, and by `fail` if it traps. */
  constructor(core, settle, fail) {
    this.core = core;
    this.settle = settle;
    this.fail = fail;
  }

  /** One step, after something was told to the task; nothing if nobody waits any more. */
  advance(tell) {
    if (this.over) return;
    try {
      if (this.core.fallen) throw new Error("it fell while it answered another request");
      tell?.(this.task);
      if (!this.task.step()) return;
      const { status, headers, body, line, level } = this.task;
      this.close();
      this.task.free();
      if (line) write[level](line);
      this.settle([status, pairs(headers), body]);
    } catch (error) {
      this.close();
      this.fail(error);
    }
  }

  close() {
    this.over = true;
    for (const controller of this.open) controller.abort();
    for (const timer of this.timers) clearTimeout(timer);
  }

  // The core calls the two from within a step, so nothing is told before it is over.

  ask(number, method, url, headers, body, limit, most) {
    const controller = new AbortController();
    const timer = setTimeout(() => controller.abort(), limit);
    this.open.add(controller);
    const request = { method, headers: pairs(headers), redirect: "manual", signal: controller.signal };
    // What is passed is a view of the core's memory.
    if (body.byteLength) request.body = body.slice();
    this.exchange(url, request, most)
      .then(
        ([status, headers, body]) => (task) => task.answered(number, status, headers, body),
        (kind) => (task) => task.failed(number, controller.signal.aborted ? TIMEOUT : kind),
      )
      .then((tell) => {
        clearTimeout(timer);
        this.open.delete(controller);
        this.advance(tell);
      });
  }

  /** Rejects with the number of what went wrong. */
  async exchange(url, request, most) {
    let response;
    try {
      response = await this.core.fetch(url, request);
    } catch {
      throw NO_CONNECTION;
    }
    let body;
    try {
      body = await answer(response, most);
    } catch (error) {
      throw error instanceof TooLarge ? TOO_LARGE : BROKEN;
    }
    if (body === undefined) throw UNKNOWN_ENCODING;
    return [response.status, text(response.headers), body];
  }

  wait(number, ms) {
    this.timers.add(setTimeout(() => this.advance((task) => task.answered(number, 200, "", nothing)), ms));
  }
}

/** The core with the rules of a bundle, made again after a trap. */
export class Core {
  fallen = false;

  constructor(bundle, bindings, fetch) {
    this.fetch = fetch;
    const random = crypto.getRandomValues(new Uint8Array(40));
    const texts = { get: (name) => (typeof bindings[name] === "string" ? bindings[name] : undefined) };
    const settings = bindings.CLAIMSMITH ?? {};
    this.gateway = new Gateway(bundle, typeof settings === "string" ? settings : JSON.stringify(settings), texts, random);
  }

  async respond(request) {
    const { method, headers } = request;
    const [body, fault] = method === "POST" ? await this.body(request) : [nothing, 0];
    const url = request.url;
    const target = url.slice(url.indexOf("/", url.indexOf("//") + 2));
    return await new Promise((resolve, reject) => {
      const visit = new Visit(this, resolve, reject);
      visit.advance(() => {
        visit.task = this.gateway.begin(method, target, text(headers), body, fault, visit);
      });
    });
  }

  async body(request) {
    if (!request.body) return [nothing, 0];
    try {
      const most = this.gateway.max_request_body;
      if (Number(request.headers.get("content-length")) > most) return [nothing, BODY_TOO_LARGE];
      return [await receive(request.body, most), 0];
    } catch (error) {
      return [nothing, error instanceof TooLarge ? BODY_TOO_LARGE : BODY_BROKE_OFF];
    }
  }
}

/** The row of the failure table for a fault of the program. Words that are not our own may hold a value. */
function fault(error) {
  const request_id = crypto.randomUUID();
  const what = typeof error === "string" ? error : error?.name;
  write[2](JSON.stringify({ level: "ERROR", message: "a fault of the program", what, status: 500, request_id }));
  const body = JSON.stringify({ error: "server_error", error_description: "an internal fault", request_id });
  const headers = { "content-type": "application/json", "cache-control": "no-store", "x-request-id": request_id };
  return new Response(body, { status: 500, headers });
}

/** An answer of a core, for the platform. */
export function reply(request, [status, headers, body]) {
  // An empty text would be sent as one.
  const empty = body === "" || request.method === "HEAD";
  return new Response(empty ? null : body, { status, headers });
}

let core;

/** The answer of a core, whatever happens to it. */
export async function respond(request, make) {
  let mine;
  try {
    mine = core ??= make();
    return reply(request, await mine.respond(request));
  } catch (error) {
    // Whatever it left in its memory is not to be trusted. Others that it was answering see that it fell.
    if (mine && !mine.fallen) {
      mine.fallen = true;
      if (core === mine) {
        core = undefined;
        reset();
      }
    }
    return fault(error);
  }
}

initSync({ module });
