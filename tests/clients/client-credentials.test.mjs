// Tokens of claimsmith's own, from the token endpoint of a real identity provider.

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { startIdentityProvider } from './identity-provider.mjs';
import { SUITE, startClaimsmith, stopAll } from './support.mjs';

// What form-encoding changes, so that a secret that is not encoded before it is Basic is noticed.
const SECRET = 'a secret: with + and %26 & more';
const client = (id, method) => ({
  client_id: id,
  client_secret: SECRET,
  token_endpoint_auth_method: method,
  grant_types: ['client_credentials'],
  redirect_uris: [],
  response_types: [],
  scope: 'directory',
});

const rule = (id, style) => `
[secrets]
secret = { env = "SECRET" }

[call.user]
url = "https://idp.example/directory"
auth = { client_credentials = { token_url = "https://idp.example/token", client_id = "${id}",
  client_secret = "\${secrets.secret}", scope = "directory", style = "${style}" } }
token = { header = "x-user-token" }

[claims]
sub = "$.user.id"
client_id = "$.user.seen.client"
scope = "$.user.seen.scope"
`;

describe('a token of our own from an identity provider', SUITE, () => {
  const started = [];
  // The tokens that the directory was asked with, and the provider that can take them back.
  let asked;
  let tokens;
  let gateway;

  before(async () => {
    const idp = await startIdentityProvider({
      clients: [client('by:basic', 'client_secret_basic'), client('by-post', 'client_secret_post')],
      features: { clientCredentials: { enabled: true } },
      scopes: ['directory'],
      routes: { '/directory': directory },
    });
    started.push(idp);
    tokens = () => idp.requests.filter(({ path }) => path === '/token').length;
    gateway = await startClaimsmith({
      rules: {
        basic: rule('by:basic', 'basic'),
        post: rule('by-post', 'post'),
        unknown: rule('nobody', 'basic'),
        guessed: rule('by:basic', 'basic').replace('"SECRET"', '"GUESS"'),
      },
      reroute: { 'https://idp.example': idp.origin },
      env: { SECRET, GUESS: 'a guess' },
    });
    started.push(gateway);
  });
  beforeEach(() => {
    asked = [];
  });
  after(() => stopAll(started));

  // An API that only asks the provider whether the token is one of its own.
  async function directory(provider, request, response) {
    const value = request.headers.authorization?.replace(/^Bearer /, '');
    const token = value && (await provider.ClientCredentials.find(value));
    asked.push(token);
    if (!token?.isValid) return response.writeHead(401).end('{}');
    const seen = { client: token.clientId, scope: token.scope };
    response.writeHead(200, { 'content-type': 'application/json' });
    return response.end(JSON.stringify({ id: request.headers['x-user-token'], seen }));
  }

  const ask = (name) => fetch(gateway.url(name), { headers: { authorization: 'Bearer the-users' } });

  async function assertAnswers(name, client_id) {
    const answer = await ask(name);
    assert.deepEqual(
      { status: answer.status, body: await answer.json() },
      { status: 200, body: { sub: 'the-users', client_id, scope: 'directory' } },
    );
  }

  test('is fetched once and used by all, however the client says who it is', async () => {
    const before = tokens();
    await Promise.all(Array.from({ length: 20 }, () => assertAnswers('basic', 'by:basic')));
    assert.equal(tokens(), before + 1);
    await Promise.all(Array.from({ length: 20 }, () => assertAnswers('post', 'by-post')));
    assert.equal(tokens(), before + 2);
  });

  test('is exchanged when the provider took it back', async () => {
    await assertAnswers('basic', 'by:basic');
    const before = tokens();
    await asked.at(-1).destroy();
    await assertAnswers('basic', 'by:basic');
    assert.equal(tokens(), before + 1);
  });

  test('that is refused is never the fault of the caller', async () => {
    for (const name of ['unknown', 'guessed']) {
      const answer = await ask(name);
      assert.equal(answer.status, 502);
      assert.equal(answer.headers.get('www-authenticate'), null);
      assert.equal((await answer.json()).error, 'server_error');
    }
    assert.equal(asked.length, 0);
  });
});
