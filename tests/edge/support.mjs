// What the tests talk to: an awkward provider, the program, and the Worker that `claimsmith bundle` makes of the same
// rules, in workerd. All traffic stays on 127.0.0.1; only processes that were started here are ended.
//
// CLAIMSMITH_BIN names the program, EDGE the folder of the release for hosts at the edge.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));

export const BINARY = resolve(process.env.CLAIMSMITH_BIN ?? here('../../target/shipped/claimsmith'));
export const EDGE = resolve(process.env.EDGE ?? here('../../target/shipped/edge'));
export const WORKERD = here('node_modules/@cloudflare/workerd-linux-64/bin/workerd');
export const API_KEY = 'k3y-that-nobody-sees';
const PERSON = {
  profile: { id: '9007199254740993', name: 'Ada Lovelace' },
  mails: [{ address: 'ada@engines.example', primary: true }],
};
/** Its id is a number that no float holds. */
export const PROFILE = JSON.stringify(PERSON).replace('"9007199254740993"', '9007199254740993');

/** 64 MiB of spaces. */
const BOMB = gzipSync(Buffer.alloc(64 << 20, ' '));

/** The environment without settings of the program. */
const plain = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('CLAIMSMITH')));

/** Settings that the program and the Worker get alike. */
export const settings = (provider) => ({
  deadline: '3s',
  upstream: { reroute: { 'https://api.acme.example': provider } },
});

/** A provider that does what the last word of the caller's token, or the path, says. */
export async function startProvider() {
  const seen = [];
  const server = createServer(async (request, response) => {
    const pieces = [];
    for await (const piece of request) pieces.push(piece);
    const body = Buffer.concat(pieces).toString();
    const path = request.url.split('?')[0].slice(1);
    seen.push({ method: request.method, url: request.url, headers: request.headers, body });
    const way = path === 'me' ? (request.headers.authorization ?? '').split('-').at(-1) : path;
    const send = (status, body = PROFILE, headers = {}) =>
      response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body);
    switch (way) {
      case 'unauthorized': return send(401, '{}');
      case 'forbidden': return send(403, '{}');
      case 'limited': return send(429, '{}', { 'retry-after': '7' });
      case 'down': return send(503, '{}');
      case 'html': return send(200, '<html>', { 'content-type': 'text/html' });
      case 'nothing': return send(200, '');
      case 'nobody': return send(200, '{"profile": {"id": null}}');
      case 'nested': return send(200, '{"profile": {"id": {"id": 1}}}');
      case 'huge': return send(200, `{"pad": "${'x'.repeat(2 << 20)}"}`);
      case 'drip': {
        response.writeHead(200, { 'content-type': 'application/json' });
        const timer = setInterval(() => response.write(' '), 100);
        return response.on('close', () => clearInterval(timer));
      }
      case 'bomb': return send(200, BOMB, { 'content-encoding': 'gzip' });
      case 'gzip': return send(200, gzipSync(PROFILE), { 'content-encoding': 'gzip' });
      case 'deflate': return send(200, deflateSync(PROFILE), { 'content-encoding': 'deflate' });
      case 'brotli': return send(200, brotliCompressSync(PROFILE), { 'content-encoding': 'br' });
      case 'strange': return send(200, PROFILE, { 'content-encoding': 'strange' });
      case 'chunked':
        response.writeHead(200, { 'content-type': 'application/json' });
        response.write(PROFILE.slice(0, 20));
        return setTimeout(() => response.end(PROFILE.slice(20)), 30);
      case 'away': return send(302, '', { location: 'https://elsewhere.example/' });
      case 'broken':
        response.writeHead(200, { 'content-length': '1000' });
        response.write('{"profile"');
        return setTimeout(() => request.socket.destroy(), 30);
      case 'closed': return request.socket.destroy();
      case 'hung': return undefined;
      case 'token': return send(200, '{"access_token": "m4chine", "token_type": "Bearer", "expires_in": 3600}');
      case 'echo': return send(200, `${PROFILE.slice(0, -1)}, "sent": ${body}}`);
      default: return send(200);
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { origin: `http://127.0.0.1:${server.address().port}`, seen, stop: () => { server.closeAllConnections(); server.close(); } };
}

/** A port that nobody had a moment ago. */
export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** Starts a program; what it writes is kept. Resolves once the port accepts. */
export async function start(command, parameters, options, port) {
  const child = spawn(command, parameters, { stdio: ['ignore', 'pipe', 'pipe'], detached: true, ...options });
  const written = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (piece) => written.push(piece));
  const log = () => Buffer.concat(written).toString();
  for (let round = 0; ; round++) {
    assert.ok(child.exitCode === null && round < 600, `${command} does not listen: ${log()}`);
    if (await accepts(port)) break;
    await new Promise((done) => setTimeout(done, 50));
  }
  return { at: `http://127.0.0.1:${port}`, log, stop: () => end(child) };
}

/** Ends a program, and what it has started itself. */
function end(child) {
  if (child.exitCode === null) process.kill(-child.pid, 'SIGKILL');
}

function accepts(port) {
  return new Promise((done) => {
    const socket = connect(port, '127.0.0.1', () => { socket.destroy(); done(true); });
    socket.on('error', () => done(false));
  });
}

/** The folder that `claimsmith bundle` writes, for rules of a folder. */
export async function bundle(host, rules, more = []) {
  const out = join(await mkdtemp(join(tmpdir(), 'claimsmith-edge-')), host);
  const from = more.includes('--from') ? [] : ['--from', join(EDGE, host)];
  const made = spawnSync(BINARY, ['bundle', '--host', host, '--rules', rules, '--out', out, ...from, ...more], { encoding: 'utf8', env: plain });
  assert.equal(made.status, 0, made.stderr);
  return { out, said: made.stdout + made.stderr };
}

/** workerd with a bundle; `main` is another main module of this folder, in front of the Worker's own. */
export async function startWorker(folder, bindings, main) {
  const port = await freePort();
  if (main) await cp(here(main), join(folder, main));
  const modules = [main ?? 'worker.mjs', ...(main ? ['worker.mjs'] : []), 'core.mjs', 'claimsmith.js'].map(
    (name) => `(name = "${name}", esModule = embed "${name}")`,
  );
  const bound = Object.entries(bindings).map(([name, value]) =>
    typeof value === 'string'
      ? `(name = "${name}", text = ${JSON.stringify(value)})`
      : `(name = "${name}", json = ${JSON.stringify(JSON.stringify(value))})`,
  );
  await writeFile(
    join(folder, 'config.capnp'),
    `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [ (name = "main", worker = .worker), (name = "net", network = (allow = ["public", "private", "local"])) ],
  sockets = [ (name = "http", address = "127.0.0.1:${port}", http = (), service = "main") ],
);
const worker :Workerd.Worker = (
  modules = [ ${modules.join(', ')}, (name = "claimsmith.wasm", wasm = embed "claimsmith.wasm"), (name = "rules.json", json = embed "rules.json") ],
  bindings = [ ${bound.join(', ')} ],
  compatibilityDate = "2026-11-01",
  globalOutbound = "net",
);
`,
  );
  return start(WORKERD, ['serve', join(folder, 'config.capnp')], {}, port);
}

/** The program with the same rules and settings. */
export async function startProgram(rules, provider) {
  const [port, folder] = [await freePort(), await mkdtemp(join(tmpdir(), 'claimsmith-edge-'))];
  const config = join(folder, 'claimsmith.toml');
  const { deadline, upstream } = settings(provider);
  const [[from, to]] = Object.entries(upstream.reroute);
  await writeFile(config, `deadline = "${deadline}"\n[upstream]\ntrip_after = 0\nreroute = { "${from}" = "${to}" }\n[admin]\nlisten = "off"\n`);
  const parameters = ['serve', '--config', config, '--rules', rules, '--listen', `127.0.0.1:${port}`, '--log-format', 'json'];
  const program = await start(BINARY, parameters, { env: { ...plain, ACME_API_KEY: API_KEY } }, port);
  return { ...program, stop: () => { program.stop(); rm(folder, { recursive: true }); } };
}

/** All of an answer that a caller can tell from another one. */
export async function told(response) {
  const text = await response.text();
  const header = (name) => response.headers.get(name);
  return {
    status: response.status,
    type: header('content-type'),
    cache: header('cache-control'),
    challenge: header('www-authenticate'),
    retry: header('retry-after'),
    allow: header('allow'),
    body: text.replace(/"request_id":"[^"]*"/, '"request_id":"…"'),
  };
}

export const rules = here('rules');
