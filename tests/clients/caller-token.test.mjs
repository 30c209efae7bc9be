// The caller's token, judged before any call is made: by asking a real identity
// provider (RFC 7662), and by the signature on the JWT access tokens that it issues.

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, mock, test } from 'node:test';
import { ACCOUNT, CLIENT_ID, REDIRECT_URI, startIdentityProvider } from './identity-provider.mjs';
import { tokensFor } from './log-in.mjs';
import { STEP_TIMEOUT, SUITE, startClaimsmith, stopAll } from './support.mjs';

const OTHER_CLIENT = 'another-client';
const otherClient = {
  client_id: OTHER_CLIENT,
  token_endpoint_auth_method: 'none',
  application_type: 'native',
  redirect_uris: [REDIRECT_URI],
  grant_types: ['authorization_code'],
  response_types: ['code'],
};

const ask = (gateway, name, token) =>
  fetch(gateway.url(name), {
    headers: { authorization: `Bearer ${token}` },
    signal: AbortSignal.timeout(STEP_TIMEOUT),
  });

async function assertRefused(gateway, name, token, status, reason) {
  const answer = await ask(gateway, name, token);
  const text = await answer.text();
  assert.equal(answer.status, status, `${name}: ${text}`);
  const { error, request_id: id } = JSON.parse(text);
  assert.equal(error, status === 401 ? 'invalid_token' : 'server_error');
  const challenge = answer.headers.get('www-authenticate');
  if (status === 401) assert.match(challenge, /^Bearer .*error="invalid_token"/);
  else assert.equal(challenge, null);
  assert.equal(await gateway.reason(id), `token: ${reason}`, name);
}

describe('a token that the identity provider is asked about', SUITE, () => {
  // What form-encoding changes, so that a secret that is not encoded before it is Basic is noticed.
  const SECRET = 'a secret: with + and %26 & more';
  const started = [];
  let idp;
  let gateway;
  let token;

  const rule = (expect, secret = 'SECRET', user = 'the:gateway') => `
[secrets]
key = { env = "${secret}" }

[token]
introspect = { url = "https://idp.example/token/introspection", expect = { ${expect} },
  auth = { basic = { user = "${user}", password = "\${secrets.key}" } } }

[call.user]
url = "https://idp.example/me"

[claims]
sub = "$.token.sub"
client = "$.token.client_id"
name = "$.user.name"
`;
  const ours = `client_id = "${CLIENT_ID}"`;
  const made = (path) => idp.requests.filter((request) => request.path === path).length;
  const introspected = () => made('/token/introspection');

  before(async () => {
    idp = await startIdentityProvider({
      clients: [
        otherClient,
        {
          client_id: 'the:gateway',
          client_secret: SECRET,
          token_endpoint_auth_method: 'client_secret_basic',
          grant_types: [],
          redirect_uris: [],
          response_types: [],
        },
      ],
      features: { introspection: { enabled: true } },
    });
    started.push(idp);
    gateway = await startClaimsmith({
      rules: {
        acme: rule(ours),
        scoped: rule(`${ours}, scope = "profile email"`),
        admin: rule(`${ours}, scope = "admin"`),
        guessed: rule(ours, 'GUESS'),
        nobody: rule(ours, 'SECRET', 'nobody'),
      },
      reroute: { 'https://idp.example': idp.origin },
      env: { SECRET, GUESS: 'a guess' },
    });
    started.push(gateway);
  });
  beforeEach(async () => {
    token = (await tokensFor(idp.origin)).access_token;
    idp.requests.length = 0;
  });
  after(() => stopAll(started));

  test('passes while it is active, and is known then', async () => {
    for (const name of ['acme', 'scoped']) {
      const answer = await ask(gateway, name, token);
      assert.deepEqual(
        { status: answer.status, body: await answer.json() },
        { status: 200, body: { sub: ACCOUNT.id, client: CLIENT_ID, name: ACCOUNT.name } },
      );
    }
    assert.equal(introspected(), 2);
    assert.equal(made('/me'), 2);
  });

  test('does not pass once it was revoked', async () => {
    assert.equal((await ask(gateway, 'acme', token)).status, 200);
    const revoked = await fetch(`${idp.origin}/token/revocation`, {
      method: 'POST',
      body: new URLSearchParams({ token, client_id: CLIENT_ID }),
    });
    assert.equal(revoked.status, 200);
    idp.requests.length = 0;
    await assertRefused(gateway, 'acme', token, 401, 'the issuer says that it is not active');
    assert.equal(made('/me'), 0);
  });

  test('does not pass once it has expired', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() + 601_000 });
    try {
      await assertRefused(gateway, 'acme', token, 401, 'the issuer says that it is not active');
    } finally {
      mock.timers.reset();
    }
    assert.equal(made('/me'), 0);
  });

  test('does not pass when the provider never saw it', async () => {
    for (const unknown of ['unknown', `${token}x`, 'a&token=b', `${token}%00`]) {
      await assertRefused(gateway, 'acme', unknown, 401, 'the issuer says that it is not active');
    }
    assert.equal(introspected(), 4);
    assert.equal(made('/me'), 0);
  });

  test('does not pass when another client got it from the same account', async () => {
    const theirs = (await tokensFor(idp.origin, OTHER_CLIENT)).access_token;
    idp.requests.length = 0;
    await assertRefused(gateway, 'acme', theirs, 401, 'it was issued for something else');
    assert.equal(introspected(), 1);
    assert.equal(made('/me'), 0);
    // The provider itself would have answered.
    const direct = await fetch(`${idp.origin}/me`, { headers: { authorization: `Bearer ${theirs}` } });
    assert.equal(direct.status, 200);
  });

  test('lacks a scope: that is another error', async () => {
    const answer = await ask(gateway, 'admin', token);
    assert.deepEqual([answer.status, (await answer.json()).error], [403, 'insufficient_scope']);
    assert.equal(made('/me'), 0);
  });

  test('is not to blame when the provider refuses our own credentials', async () => {
    for (const name of ['guessed', 'nobody']) {
      await assertRefused(gateway, name, token, 502, 'the issuer refused our own credentials (401)');
    }
    assert.equal(introspected(), 2);
    assert.equal(made('/me'), 0);
  });
});

describe('a JWT access token of an identity provider', SUITE, () => {
  const API = 'https://api.acme.example';
  const OTHER_API = 'https://other.acme.example';
  const started = [];
  let idp;
  let gateway;
  // The tokens that the API was asked with.
  let asked;

  const rule = (audience, more = ', typ = "at+jwt"', jwks = 'https://idp.example/jwks') => `
[token]
jwt = { jwks = "${jwks}", issuer = "${idp.origin}", audience = "${audience}"${more} }

[call.user]
url = "https://idp.example/directory"

[claims]
sub = "$.token.sub"
client = "$.token.client_id"
name = "$.user.name"
`;

  function directory(_provider, request, response) {
    asked.push(request.headers.authorization);
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ name: ACCOUNT.name }));
  }

  before(async () => {
    const other = await startIdentityProvider();
    started.push(other);
    idp = await startIdentityProvider({
      clients: [otherClient],
      scopes: ['directory'],
      routes: { '/directory': directory },
      features: {
        resourceIndicators: {
          enabled: true,
          getResourceServerInfo: (_context, resource) => ({
            audience: resource,
            scope: 'directory',
            accessTokenTTL: 600,
            accessTokenFormat: 'jwt',
          }),
        },
      },
    });
    started.push(idp);
    gateway = await startClaimsmith({
      rules: {
        acme: rule(API),
        several: rule(`https://none.example", "${API}`).replace(/audience = (".*?", ".*?")/, 'audience = [$1]'),
        ours: rule(API, `, typ = "at+jwt", expect = { client_id = "${CLIENT_ID}", scope = "directory" }`),
        untyped: rule(CLIENT_ID, ''),
        typed: rule(CLIENT_ID),
        keys: rule(API, ', typ = "at+jwt"', 'https://other.example/jwks'),
      },
      reroute: { 'https://idp.example': idp.origin, 'https://other.example': other.origin },
    });
    started.push(gateway);
  });
  beforeEach(() => {
    asked = [];
  });
  after(() => stopAll(started));

  const tokens = (resource, client = CLIENT_ID) =>
    tokensFor(idp.origin, client, { scope: 'openid directory', resource });

  async function assertPasses(name, token, client = CLIENT_ID) {
    const answer = await ask(gateway, name, token);
    assert.deepEqual(
      { status: answer.status, body: await answer.json() },
      { status: 200, body: { sub: ACCOUNT.id, client, name: ACCOUNT.name } },
      name,
    );
    assert.deepEqual(asked.splice(0), [`Bearer ${token}`]);
  }

  test('passes when it is for us, and is handed on', async () => {
    const { access_token: token } = await tokens(API);
    assert.deepEqual(JSON.parse(Buffer.from(token.split('.')[0], 'base64url')).typ, 'at+jwt');
    for (const name of ['acme', 'several', 'ours']) await assertPasses(name, token);
  });

  test('does not pass when it is for another API', async () => {
    const { access_token: token } = await tokens(OTHER_API);
    for (const name of ['acme', 'several', 'ours']) {
      await assertRefused(gateway, name, token, 401, 'it is for another audience');
    }
    assert.deepEqual(asked, []);
  });

  test('does not pass when another client got it, where the rule says so', async () => {
    const { access_token: token } = await tokens(API, OTHER_CLIENT);
    await assertRefused(gateway, 'ours', token, 401, 'it was issued for something else');
    assert.deepEqual(asked, []);
    await assertPasses('acme', token, OTHER_CLIENT);
  });

  test('does not pass when it has expired, or was signed by another provider', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() - 20 * 60_000 });
    let late;
    try {
      late = (await tokens(API)).access_token;
    } finally {
      mock.timers.reset();
    }
    await assertRefused(gateway, 'acme', late, 401, 'it has expired, or does not say when it does');
    const { access_token: token } = await tokens(API);
    await assertRefused(gateway, 'keys', token, 401, 'its signature is wrong');
    assert.deepEqual(asked, []);
  });

  test('cannot be replaced by an ID token of the same login', async () => {
    const { id_token: token } = await tokens(API);
    await assertRefused(gateway, 'acme', token, 401, 'it is another kind of token');
    // Also where it is for us: then nothing but its kind tells it from an access token.
    await assertRefused(gateway, 'typed', token, 401, 'it is another kind of token');
    assert.deepEqual(asked, []);
    assert.equal((await ask(gateway, 'untyped', token)).status, 200);
  });

  test('cannot be replaced by an opaque one of the same provider', async () => {
    const { access_token: token } = await tokensFor(idp.origin);
    await assertRefused(gateway, 'acme', token, 401, 'it is not a JWT');
    assert.deepEqual(asked, []);
  });
});
