// The function of Lambda behind a runtime API that plays events to it: those of function URLs and of API Gateway.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { API_KEY, bundle, rules, settings, startProvider } from './support.mjs';

const PROGRAM = resolve(process.env.LAMBDA ?? '../../target/debug/bootstrap');

/** The runtime API (2018-06-01), and the extension that has parameters. */
async function startRuntime(parameters) {
  const events = [];
  const waiting = [];
  const answers = new Map();
  let number = 0;
  const play = () => {
    while (events.length && waiting.length) {
      const { id, event, limit } = events.shift();
      waiting.shift().writeHead(200, {
        'content-type': 'application/json',
        'lambda-runtime-aws-request-id': id,
        'lambda-runtime-deadline-ms': `${Date.now() + limit}`,
        'lambda-runtime-invoked-function-arn': 'arn:aws:lambda:eu-central-1:123456789012:function:claimsmith',
      }).end(JSON.stringify(event));
    }
  };
  const server = createServer(async (request, response) => {
    const pieces = [];
    for await (const piece of request) pieces.push(piece);
    const url = new URL(request.url, 'http://localhost');
    if (url.pathname === '/systemsmanager/parameters/get') {
      const value = parameters[url.searchParams.get('name')];
      const allowed = request.headers['x-aws-parameters-secrets-token'] === 'session' && url.searchParams.get('withDecryption') === 'true';
      if (!allowed || value === undefined) return response.writeHead(400).end('{}');
      return response.end(JSON.stringify({ Parameter: { Value: value } }));
    }
    if (url.pathname.endsWith('/invocation/next')) {
      waiting.push(response);
      return play();
    }
    const [, id, what] = url.pathname.match(/\/invocation\/([^/]+)\/(response|error)$/) ?? [];
    answers.get(id)?.({ what, body: JSON.parse(Buffer.concat(pieces).toString() || 'null') });
    return response.writeHead(202).end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const invoke = (event, limit = 15_000) =>
    new Promise((done) => {
      const id = `event-${++number}`;
      answers.set(id, done);
      events.push({ id, event, limit });
      play();
    });
  return { port: server.address().port, invoke, stop: () => { server.closeAllConnections(); server.close(); } };
}

const event = async (name, change = () => {}) => {
  const read = JSON.parse(await readFile(new URL(`events/${name}.json`, import.meta.url)));
  change(read);
  return read;
};
const withToken = (way) => (read) => { read.headers.authorization = `Bearer m4rk-${way}`; };

describe('a function of Lambda', { timeout: 120_000 }, () => {
  let provider;
  let runtime;
  let folder;
  let child;
  let log = '';

  before(async () => {
    provider = await startProvider();
    runtime = await startRuntime({ '/claimsmith/ACME_API_KEY': API_KEY });
    // The release of this host is the program that was built a moment ago.
    const release = await mkdtemp(join(tmpdir(), 'claimsmith-lambda-'));
    await mkdir(join(release, 'lambda'));
    await cp(PROGRAM, join(release, 'lambda', 'bootstrap'));
    ({ out: folder } = await bundle('lambda', rules, ['--from', join(release, 'lambda')]));
    const { deadline, upstream } = settings(provider.origin);
    const [[from, to]] = Object.entries(upstream.reroute);
    await writeFile(join(folder, 'claimsmith.toml'), `deadline = "${deadline}"\n[upstream]\nreroute = { "${from}" = "${to}" }\n`);
    child = spawn(join(folder, 'bootstrap'), [], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: process.env.PATH,
        AWS_LAMBDA_RUNTIME_API: `127.0.0.1:${runtime.port}`,
        AWS_LAMBDA_FUNCTION_NAME: 'claimsmith',
        AWS_LAMBDA_FUNCTION_MEMORY_SIZE: '256',
        AWS_LAMBDA_FUNCTION_VERSION: '$LATEST',
        AWS_LAMBDA_LOG_STREAM_NAME: 'stream',
        AWS_LAMBDA_LOG_GROUP_NAME: 'group',
        AWS_SESSION_TOKEN: 'session',
        PARAMETERS_SECRETS_EXTENSION_HTTP_PORT: `${runtime.port}`,
        PARAMETERS_PREFIX: '/claimsmith/',
      },
    });
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (piece) => { log += piece; });
    await rm(release, { recursive: true });
  });
  after(() => {
    child?.kill('SIGKILL');
    runtime?.stop();
    provider?.stop();
  });

  const ask = async (...parameters) => {
    const { what, body } = await runtime.invoke(...parameters);
    assert.equal(what, 'response', JSON.stringify(body) + log);
    return body;
  };

  test('answers the event of a function URL, with a secret of the Parameter Store', async () => {
    const { statusCode, headers, body, isBase64Encoded } = await ask(await event('function-url'));
    assert.deepEqual([statusCode, isBase64Encoded], [200, false]);
    assert.deepEqual([headers['content-type'], headers['cache-control']], ['application/json', 'no-store']);
    assert.equal(body, '{"sub":"9007199254740993","email":"ada@engines.example","name":"Ada Lovelace"}');
    assert.equal(provider.seen.at(-1).headers['api-key'], API_KEY);
    assert.equal(provider.seen.at(-1).headers.authorization, 'Bearer m4rk-fine');
  });

  test('answers the event of an API Gateway, its body and its query with it', async () => {
    const { statusCode, body } = await ask(await event('api-gateway'));
    assert.equal(statusCode, 200);
    assert.equal(JSON.parse(body).name, 'é dé');
  });

  for (const [way, status] of [['unauthorized', 401], ['forbidden', 403], ['limited', 503], ['down', 502], ['html', 502], ['nobody', 500], ['hung', 504]]) {
    test(`answers ${status} where the provider is ${way}`, async () => {
      const { statusCode, headers, body } = await ask(await event('function-url', withToken(way)));
      assert.equal(statusCode, status, body);
      assert.equal(headers['cache-control'], 'no-store');
      assert.deepEqual(Object.keys(JSON.parse(body)), ['error', 'error_description', 'request_id']);
    });
  }

  test('refuses a request without a token, another path and another method', async () => {
    const without = await ask(await event('function-url', (read) => { delete read.headers.authorization; }));
    assert.deepEqual([without.statusCode, without.headers['www-authenticate'], without.body ?? ''], [401, 'Bearer', '']);
    const path = (path, method) => (read) => {
      read.rawPath = path;
      read.requestContext.http.path = path;
      read.requestContext.http.method = method;
    };
    assert.equal((await ask(await event('function-url', path('/nonesuch', 'GET')))).statusCode, 404);
    assert.equal((await ask(await event('function-url', path('/acme', 'DELETE')))).statusCode, 405);
  });

  test('answers before the platform ends the event', async () => {
    const began = Date.now();
    assert.equal((await ask(await event('function-url', withToken('hung')), 800)).statusCode, 504);
    assert.ok(Date.now() - began < 800);
  });

  test('writes one line of JSON for an event, and nothing that nobody may see', () => {
    const lines = log.split('\n').filter(Boolean).map((line) => JSON.parse(line));
    const answered = lines.find((line) => line.rule === 'acme' && line.status === 200);
    assert.deepEqual([answered.level, answered.method, answered.calls, answered.message], ['INFO', 'GET', 1, 'answered']);
    assert.ok(lines.some((line) => line.status === 502 && line.level === 'WARN'), log);
    for (const secret of ['m4rk', API_KEY, 'ada@engines', 'Lovelace', '9007199254740993']) assert.ok(!log.includes(secret), secret);
  });
});
