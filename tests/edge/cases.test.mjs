// Every case of the catalogue and of the tests, through the Worker in workerd, over real sockets.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { bundle, freePort, rules, startWorker } from './support.mjs';

const CONFORMANCE = resolve(process.env.CONFORMANCE ?? '../../target/debug/examples/conformance');
const folders = ['../../rules', '../capabilities'].map((folder) => resolve(folder));

test('a Worker passes the cases that it can do, and can do nearly all', { timeout: 300_000 }, async (context) => {
  const stage = await freePort();
  const { out } = await bundle('cloudflare', rules);
  const worker = await startWorker(out, { STAGE: `http://127.0.0.1:${stage}` }, 'conformance.mjs');
  try {
    const child = spawn(CONFORMANCE, ['cloudflare', worker.at.replace('http://', ''), `${stage}`, ...folders]);
    const pieces = [];
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (piece) => pieces.push(piece));
    const [code] = await once(child, 'close');
    const said = Buffer.concat(pieces).toString();
    context.diagnostic(said.trim().split('\n').at(-1));
    assert.equal(code, 0, `${said}\n${worker.log().slice(-4000)}`);
    assert.match(said, /cloudflare: [0-9]{4,} cases/);
  } finally {
    worker.stop();
  }
});
