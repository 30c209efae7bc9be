// The Worker in workerd, row by row beside the program with the same rules: what a caller sees is the same.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import * as client from 'openid-client';
import { API_KEY, bundle, rules, settings, startProgram, startProvider, startWorker, told } from './support.mjs';

const SUITE = { timeout: 120_000 };
const bearer = (way) => ({ headers: { authorization: `Bearer m4rk-${way}` } });

/** What is asked, and the status that the failure table has for it. */
const ROWS = [
  ['claims', '/acme', bearer('fine'), 200],
  ['claims by POST', '/acme', { method: 'POST', body: 'x=1', ...bearer('fine') }, 200],
  ['a body in pieces', '/acme', bearer('chunked'), 200],
  ['gzip', '/acme', bearer('gzip'), 200],
  ['deflate', '/acme', bearer('deflate'), 200],
  ['an encoding that nobody knows', '/acme', bearer('strange'), 502],
  ['no token', '/acme', {}, 401],
  ['a malformed token', '/acme', { headers: { authorization: 'Bearer a b' } }, 400],
  ['another scheme', '/acme', { headers: { authorization: 'Basic YTpi' } }, 401],
  ['a token in the query', '/acme?access_token=m4rk', {}, 400],
  ['a token twice', '/acme?access_token=m4rk', bearer('fine'), 400],
  ['a DPoP token', '/acme', { headers: { authorization: 'DPoP m4rk', dpop: 'proof' } }, 400],
  ['a token that is refused', '/acme', bearer('unauthorized'), 401],
  ['a token without a scope', '/acme', bearer('forbidden'), 403],
  ['a limit of the provider', '/acme', bearer('limited'), 503],
  ['a provider that is down', '/acme', bearer('down'), 502],
  ['HTML', '/acme', bearer('html'), 502],
  ['an empty body', '/acme', bearer('nothing'), 502],
  ['too large a body', '/acme', bearer('huge'), 502],
  ['a bomb', '/acme', bearer('bomb'), 502],
  ['a redirect', '/acme', bearer('away'), 502],
  ['a body that breaks off', '/acme', bearer('broken'), 502],
  ['no answer', '/acme', bearer('closed'), 502],
  ['nobody', '/acme', bearer('nobody'), 500],
  ['an object for an id', '/acme', bearer('nested'), 500],
  ['a provider that hangs', '/acme', bearer('hung'), 504],
  ['a body that never ends', '/acme', bearer('drip'), 504],
  ['an optional call that hangs', '/optional', bearer('hung'), 200],
  ['an optional call that fails', '/optional', bearer('down'), 200],
  ['a guard', '/guarded', bearer('fine'), 403],
  ['a script without end', '/broken', bearer('fine'), 500],
  ['credentials of ours that are refused', '/ours', bearer('fine'), 502],
  ['a token of our own', '/machine', bearer('fine'), 200],
  ['what a receiver insists on, and a body of ours', '/posted?lang=d%C3%A9', bearer('fine'), 200],
  ['no rule', '/nonesuch', bearer('fine'), 404],
  ['no rule below a rule', '/acme/more', bearer('fine'), 404],
  ['the root', '/', bearer('fine'), 404],
  ['another method', '/acme', { method: 'DELETE', ...bearer('fine') }, 405],
  ['OPTIONS', '/acme', { method: 'OPTIONS' }, 204],
  ['HEAD', '/acme', { method: 'HEAD', ...bearer('fine') }, 200],
  ['too large a request', '/acme', { method: 'POST', body: 'x'.repeat(70_000), ...bearer('fine') }, 413],
  [
    'too many headers',
    '/acme',
    { headers: { ...bearer('fine').headers, ...Object.fromEntries(Array.from({ length: 120 }, (_, n) => [`x-${n}`, '1'])) } },
    431,
  ],
];

describe('a Worker', SUITE, () => {
  let provider;
  let program;
  let worker;
  let folder;

  before(async () => {
    provider = await startProvider();
    program = await startProgram(rules, provider.origin);
    ({ out: folder } = await bundle('cloudflare', rules));
    const bindings = { ACME_API_KEY: API_KEY, CLAIMSMITH: settings(provider.origin) };
    worker = await startWorker(folder, bindings, 'stumble.mjs');
  });
  after(() => {
    worker?.stop();
    program?.stop();
    provider?.stop();
  });

  const ask = (place, path, request) => fetch(`${place.at}${path}`, { redirect: 'manual', ...request });

  for (const [what, path, request, status] of ROWS) {
    test(`answers as the program does: ${what}`, async () => {
      const [mine, other] = await Promise.all([worker, program].map(async (place) => told(await ask(place, path, request))));
      assert.equal(mine.status, status, JSON.stringify(mine));
      // The program sees too many headers before there is a request, and has no more to say than the status.
      assert.deepEqual(status === 431 ? mine.status : mine, status === 431 ? other.status : other);
    });
  }

  test('sends the provider what the program sends', async () => {
    provider.seen.length = 0;
    for (const place of [worker, program]) {
      await ask(place, '/acme', bearer('fine'));
      await ask(place, '/posted?lang=d%C3%A9', bearer('fine'));
    }
    const of = ({ method, url, headers, body }) => {
      // What a client of HTTP adds for itself.
      const { host, connection, 'accept-encoding': _, 'content-length': __, ...own } = headers;
      return { method, url, own, body };
    };
    const [acme, posted, ...others] = provider.seen.map(of);
    assert.deepEqual([acme, posted], others);
    assert.equal(acme.own['api-key'], API_KEY);
    assert.equal(JSON.parse(posted.body).query, 'é dé');
  });

  test('decompresses what the platform knows', async () => {
    assert.equal((await ask(worker, '/acme', bearer('brotli'))).status, 200);
  });

  test('keeps what a rule says, for each token', async () => {
    const times = async (token) => {
      provider.seen.length = 0;
      const answer = await ask(worker, '/kept', { headers: { authorization: `Bearer ${token}` } });
      assert.equal(answer.status, 200);
      return provider.seen.length;
    };
    assert.deepEqual([await times('one'), await times('one'), await times('two'), await times('one')], [1, 0, 1, 0]);
  });

  test('gets a token of its own once for two calls and many requests', async () => {
    const tokens = provider.seen.filter(({ url }) => url === '/token').length;
    await Promise.all(Array.from({ length: 5 }, () => ask(worker, '/machine', bearer('fine'))));
    // The row above has asked for one, which is kept.
    assert.equal(provider.seen.filter(({ url }) => url === '/token').length, tokens);
  });

  test('takes over an id that is plain, and makes another one otherwise', async () => {
    const id = async (given) =>
      (await ask(worker, '/acme', { headers: { ...bearer('fine').headers, 'x-request-id': given } })).headers.get('x-request-id');
    assert.equal(await id('abc-1'), 'abc-1');
    assert.notEqual(await id('a b"}'), 'a b"}');
    assert.notEqual(await id(''), await id(''));
  });

  test('answers many at once, each with its own', async () => {
    const answers = await Promise.all(
      Array.from({ length: 100 }, async (_, n) => {
        const answer = await ask(worker, `/posted?lang=${n}`, bearer('fine'));
        return (await answer.json()).name;
      }),
    );
    assert.deepEqual(answers, answers.map((_, n) => `é ${n}`));
  });

  test('answers 500 for a fault of its own, and the next request as ever', async () => {
    const long = ask(worker, '/acme', bearer('hung'));
    const fallen = await ask(worker, '/acme', { headers: { ...bearer('fine').headers, 'x-stumble': '1' } });
    assert.equal(fallen.status, 500);
    const { error, request_id } = await fallen.json();
    assert.deepEqual([error, fallen.headers.get('x-request-id')], ['server_error', request_id]);
    for (let round = 0; round < 3; round++) {
      const next = await ask(worker, '/acme', bearer('fine'));
      assert.equal(next.status, 200);
      assert.equal((await next.json()).sub, '9007199254740993');
    }
    // Whoever was being answered by what fell gets an answer too.
    assert.equal((await long).status, 500);
  });

  test('writes one line of JSON for a request, and nothing that nobody may see', async () => {
    await ask(worker, '/acme', { headers: { ...bearer('down').headers, 'x-request-id': 'look-at-me' } });
    const lines = () => worker.log().split('\n').filter((line) => line.includes('look-at-me'));
    for (let round = 0; round < 100 && lines().length === 0; round++) await new Promise((done) => setTimeout(done, 20));
    const [line, ...more] = lines();
    assert.deepEqual(more, []);
    const { level, rule, method, status, calls, reason, message } = JSON.parse(line.slice(line.indexOf('{')));
    assert.deepEqual({ level, rule, method, status, calls, message }, {
      level: 'WARN', rule: 'acme', method: 'GET', status: 502, calls: 1, message: 'refused',
    });
    assert.match(reason, /^call user: .*503/);
    for (const secret of ['m4rk', API_KEY, 'm4chine', 'ada@engines', 'Lovelace', '9007199254740993']) {
      assert.ok(!worker.log().includes(secret), `the log has ${secret}`);
    }
  });

  test('is accepted by openid-client, claims and refusals', async () => {
    const configuration = new client.Configuration({ issuer: 'https://provider.example', userinfo_endpoint: `${worker.at}/acme` }, 'us');
    client.allowInsecureRequests(configuration);
    const claims = await client.fetchUserInfo(configuration, 'm4rk-fine', '9007199254740993');
    assert.deepEqual(claims, { sub: '9007199254740993', email: 'ada@engines.example', name: 'Ada Lovelace' });
    const refused = client.fetchUserInfo(configuration, 'm4rk-unauthorized', client.skipSubjectCheck);
    await assert.rejects(refused, (error) => error instanceof client.WWWAuthenticateChallengeError && error.cause[0].parameters.error === 'invalid_token');
  });

  test('refuses a rule without its secret, says so, and serves the others', async () => {
    const bare = await startWorker(folder, { CLAIMSMITH: settings(provider.origin) });
    try {
      assert.equal((await ask(bare, '/acme', bearer('fine'))).status, 404);
      assert.equal((await ask(bare, '/guarded', bearer('fine'))).status, 403);
      assert.match(bare.log(), /CS2004.*there is no binding ACME_API_KEY/);
    } finally {
      bare.stop();
    }
  });

  test('says which setting it does not know, and answers 500', async () => {
    const wrong = await startWorker(folder, { CLAIMSMITH: { deadlin: '1s' } });
    try {
      assert.equal((await ask(wrong, '/acme', bearer('fine'))).status, 500);
      assert.match(wrong.log(), /unknown field `deadlin`/);
    } finally {
      wrong.stop();
    }
  });

  test('is small enough for the free plan', async () => {
    const { gzipSync } = await import('node:zlib');
    const files = await Promise.all(['claimsmith.wasm', 'claimsmith.js', 'core.mjs', 'worker.mjs'].map((name) => readFile(join(folder, name))));
    const size = files.reduce((sum, file) => sum + gzipSync(file, { level: 9 }).byteLength, 0);
    assert.ok(size < 3 << 20, `${size} bytes`);
  });
});
