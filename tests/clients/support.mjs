// The claimsmith binary, judged by the Node.js libraries that relying parties use.
//
// To run, with Node.js 20 or newer:
//
//     cargo build --release          (in the repository's root)
//     cd tests/clients
//     npm ci
//     npm test
//
// CLAIMSMITH_BIN names another binary to test; without it target/release/claimsmith
// is taken, or else target/debug/claimsmith. Without a binary the tests fail: a
// skipped test would look like a passed one. All traffic stays on 127.0.0.1.
//
// This file starts and stops what the tests talk to. fakes.mjs holds the fake
// servers, identity-provider.mjs a real one.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** A ceiling for each single step; every step takes milliseconds when all is well. */
export const STEP_TIMEOUT = 10_000;

/** Options for every suite: its tests inherit the timeout. */
export const SUITE = { timeout: 60_000 };

export function claimsmithBinary() {
  const named = process.env.CLAIMSMITH_BIN;
  const candidates = named
    ? [resolve(named)] // tests start it in folders of their own
    : ['release', 'debug'].map((profile) =>
        fileURLToPath(new URL(`../../target/${profile}/claimsmith`, import.meta.url)),
      );
  const binary = candidates.find((path) => existsSync(path));
  assert.ok(
    binary,
    `no claimsmith binary at ${candidates.join(' or ')}: ` +
      'build it with "cargo build --release" or name one in CLAIMSMITH_BIN',
  );
  return binary;
}

export async function within(promise, what) {
  let timer;
  const tooLate = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${STEP_TIMEOUT} ms`)), STEP_TIMEOUT);
  });
  try {
    return await Promise.race([promise, tooLate]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Runs `claimsmith serve` on a free port.
 *
 * `rules` maps a rule's name to its TOML text, `reroute` an origin named in a rule
 * to the loopback origin that stands in for it.
 */
export async function startClaimsmith({ rules, reroute = {}, env = {} }) {
  const binary = claimsmithBinary();
  const folder = await mkdtemp(join(tmpdir(), 'claimsmith-clients-'));
  const rulesFolder = join(folder, 'rules');
  await mkdir(rulesFolder);
  for (const [name, text] of Object.entries(rules)) {
    await writeFile(join(rulesFolder, `${name}.toml`), text);
  }
  // A JSON string of plain ASCII is a valid TOML basic string.
  const settings = [
    'listen = "127.0.0.1:0"',
    `rules = ${JSON.stringify(rulesFolder)}`,
    '[upstream.reroute]',
    ...Object.entries(reroute).map(([from, to]) => `${JSON.stringify(from)} = ${JSON.stringify(to)}`),
  ];
  const settingsFile = join(folder, 'claimsmith.toml');
  await writeFile(settingsFile, `${settings.join('\n')}\n`);

  // Nothing of the caller's environment is handed on: a proxy variable, or a
  // setting of a claimsmith the caller runs, would change what is tested.
  const child = spawn(binary, ['serve', '--config', settingsFile], {
    env,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const killChild = () => child.kill('SIGKILL');
  process.once('exit', killChild);

  const log = [];
  // Who waits for a line of the log.
  const waiting = new Set();
  const ended = new Promise((resolve) => {
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
  const listening = new Promise((resolve, reject) => {
    createInterface({ input: child.stderr }).on('line', (line) => {
      log.push(line);
      const address = listeningAddress(line);
      if (address) resolve(address);
      for (const look of waiting) look(line);
    });
    child.once('error', reject);
    ended.then(({ code, signal }) =>
      reject(new Error(`claimsmith ended (${signal ?? code}) before it listened:\n${log.join('\n')}`)),
    );
  });

  const cleanUp = async () => {
    killChild();
    process.off('exit', killChild);
    await rm(folder, { recursive: true, force: true });
  };

  let address;
  try {
    address = await within(listening, 'claimsmith listening');
  } catch (error) {
    await cleanUp();
    throw error;
  }

  return {
    url: (name) => `http://${address}/${name}`,
    /** Why the request with this id failed, as the log has it. */
    reason(requestId) {
      let look;
      const found = new Promise((resolve) => {
        look = (line) => {
          if (line.includes(requestId)) resolve(JSON.parse(line).reason);
        };
        log.forEach(look);
        waiting.add(look);
      });
      return within(found, `a line of the log for ${requestId}`).finally(() => waiting.delete(look));
    },
    async stop() {
      try {
        child.kill('SIGTERM');
        const end = await within(ended, 'claimsmith ending after SIGTERM');
        assert.deepEqual(end, { code: 0, signal: null }, `claimsmith did not end cleanly:\n${log.join('\n')}`);
      } finally {
        await cleanUp();
      }
    },
  };
}

function listeningAddress(line) {
  try {
    const entry = JSON.parse(line);
    return entry.message === 'listening' ? entry.address : undefined;
  } catch {
    // Not every line has to be JSON: a panic message is not. It stays in the log.
    return undefined;
  }
}

/** An HTTP server on a free loopback port, which remembers the requests it saw. */
export async function startServer(handler) {
  const requests = [];
  const server = createServer((request, response) => {
    requests.push({ method: request.method, path: request.url, headers: request.headers });
    handler(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  // A suite that failed before its clean-up must not keep the process alive.
  server.unref();
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    requests,
    async stop() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

/** Stops what was started, the last first, and does not stop stopping at a failure. */
export async function stopAll(started) {
  const failures = [];
  for (const one of started.splice(0).reverse()) {
    await one.stop().catch((error) => failures.push(error));
  }
  if (failures.length > 0) throw failures[0];
}

/** The error a promise is rejected with. */
export function failureOf(promise) {
  return promise.then(
    (value) => assert.fail(`expected a failure, got ${JSON.stringify(value)}`),
    (error) => error,
  );
}

/**
 * All that a relying party's code can branch on in an error of openid-client or
 * oauth4webapi. Realm, scope and description are left out: two providers differ
 * in them as well.
 */
export function visible(error) {
  const challenged = error.name === 'WWWAuthenticateChallengeError';
  return {
    name: error.name,
    code: error.code,
    message: error.message,
    // Without a challenge both libraries hand over the response as the cause.
    status: challenged ? error.status : error.cause?.status,
    challenges: challenged
      ? error.cause.map(({ scheme, parameters }) => ({ scheme, error: parameters.error }))
      : undefined,
  };
}
