// The component of wasi:http under `jco serve`, which gives every request an instance of its own.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { API_KEY, bundle, freePort, rules, settings, start, startProgram, startProvider, told } from './support.mjs';

const JCO = fileURLToPath(new URL('node_modules/@bytecodealliance/jco/dist/jco.js', import.meta.url));
const bearer = (way) => ({ headers: { authorization: `Bearer m4rk-${way}` } });

const ROWS = [
  ['claims', '/acme', bearer('fine'), 200],
  ['a body in pieces', '/acme', bearer('chunked'), 200],
  ['no token', '/acme', {}, 401],
  ['a malformed token', '/acme', { headers: { authorization: 'Bearer a b' } }, 400],
  ['a token that is refused', '/acme', bearer('unauthorized'), 401],
  ['a token without a scope', '/acme', bearer('forbidden'), 403],
  ['a limit of the provider', '/acme', bearer('limited'), 503],
  ['a provider that is down', '/acme', bearer('down'), 502],
  ['HTML', '/acme', bearer('html'), 502],
  ['too large a body', '/acme', bearer('huge'), 502],
  ['nobody', '/acme', bearer('nobody'), 500],
  ['a provider that hangs', '/acme', bearer('hung'), 504],
  ['an optional call that hangs', '/optional', bearer('hung'), 200],
  ['a guard', '/guarded', bearer('fine'), 403],
  ['a script without end', '/broken', bearer('fine'), 500],
  ['credentials of ours that are refused', '/ours', bearer('fine'), 502],
  ['a token of our own', '/machine', bearer('fine'), 200],
  ['what a receiver insists on, and a body of ours', '/posted?lang=d%C3%A9', bearer('fine'), 200],
  ['no rule', '/nonesuch', bearer('fine'), 404],
  ['another method', '/acme', { method: 'DELETE', ...bearer('fine') }, 405],
  ['too large a request', '/acme', { method: 'POST', body: 'x'.repeat(70_000), ...bearer('fine') }, 413],
];

describe('a component', { timeout: 300_000 }, () => {
  let provider;
  let program;
  let component;

  before(async () => {
    provider = await startProvider();
    program = await startProgram(rules, provider.origin);
    const { out } = await bundle('wasi', rules);
    const port = await freePort();
    const environment = { ...process.env, ACME_API_KEY: API_KEY, CLAIMSMITH: JSON.stringify(settings(provider.origin)) };
    const parameters = [JCO, 'serve', join(out, 'claimsmith.wasm'), '--host', '127.0.0.1', '--port', `${port}`];
    component = await start(process.execPath, parameters, { env: environment, cwd: out }, port);
  });
  after(() => {
    component?.stop();
    program?.stop();
    provider?.stop();
  });

  const ask = (place, path, request) => fetch(`${place.at}${path}`, { redirect: 'manual', ...request });

  for (const [what, path, request, status] of ROWS) {
    test(`answers as the program does: ${what}`, async () => {
      const [mine, other] = await Promise.all([component, program].map(async (place) => told(await ask(place, path, request))));
      assert.equal(mine.status, status, JSON.stringify(mine) + component.log());
      assert.deepEqual(mine, other);
    });
  }

  test('writes one line of JSON for a request, and nothing that nobody may see', () => {
    const log = component.log();
    const lines = log.split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
    const { level, method, calls, message } = lines.find(({ rule, status }) => rule === 'acme' && status === 200);
    assert.deepEqual({ level, method, calls, message }, { level: 'INFO', method: 'GET', calls: 1, message: 'answered' });
    for (const secret of ['m4rk', API_KEY, 'ada@engines', 'Lovelace', '9007199254740993']) assert.ok(!log.includes(secret), secret);
  });
});
