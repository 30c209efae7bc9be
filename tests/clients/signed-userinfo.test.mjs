// Userinfo that a real identity provider signs, and encrypts for us: what is read is
// what the provider says, and nobody else can say it.

import assert from 'node:assert/strict';
import { after, before, describe, mock, test } from 'node:test';
import { ACCOUNT, CLIENT_ID, REDIRECT_URI, startIdentityProvider } from './identity-provider.mjs';
import { makeKey } from './keys.mjs';
import { tokensFor } from './log-in.mjs';
import { STEP_TIMEOUT, SUITE, startClaimsmith, stopAll } from './support.mjs';

const SIGNING = ['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519'];
const ENCRYPTING = ['RSA-OAEP-256', 'ECDH-ES'];
const CIPHERS = ['A128GCM', 'A256GCM'];
const PARTS = ['header', 'key', 'nonce', 'text', 'tag'];

// The provider picks the key by the algorithm; one of Ed25519 serves under both its names.
const signingKeys = () =>
  ['PS256', 'ES256', 'EdDSA'].map((algorithm) => ({
    ...makeKey(algorithm).jwk,
    kid: `signing-${algorithm}`,
    use: 'sig',
    alg: algorithm === 'EdDSA' ? undefined : algorithm,
  }));

const publicClient = (client_id, more) => ({
  client_id,
  token_endpoint_auth_method: 'none',
  application_type: 'native',
  redirect_uris: [REDIRECT_URI],
  grant_types: ['authorization_code'],
  response_types: ['code'],
  ...more,
});

function rule({ issuer, audience, path = '/me', jwks = 'https://idp.example/jwks', decrypt, more = '' }) {
  const secrets = decrypt ? `[secrets]\nkey = { env = "${decrypt}" }` : '';
  return `
${secrets}

[call.user]
url = "https://idp.example${path}"
decode = { jwt = { jwks = "${jwks}", issuer = "${issuer}", audience = "${audience}"${
    decrypt ? ', decrypt = "${secrets.key}"' : ''
  }${more} } }

[claims]
sub = "$.user.sub"
name = "$.user.name"
email = "$.user.email"
email_verified = "$.user.email_verified"
`;
}

/** The name of a rule is in lower case. */
const named = (rules) =>
  Object.fromEntries(Object.entries(rules).map(([name, text]) => [name.toLowerCase(), text]));

const CLAIMS = { sub: ACCOUNT.id, name: ACCOUNT.name, email: ACCOUNT.email, email_verified: true };

const ask = (gateway, name, token) =>
  fetch(gateway.url(name.toLowerCase()), {
    headers: { authorization: `Bearer ${token}` },
    signal: AbortSignal.timeout(STEP_TIMEOUT),
  });

async function assertAccepted(gateway, name, token) {
  const answer = await ask(gateway, name, token);
  assert.deepEqual({ status: answer.status, body: await answer.json() }, { status: 200, body: CLAIMS }, name);
}

/** It is the provider's fault, the caller is told nothing else, and the log says why. */
async function assertRefused(gateway, name, token, reason) {
  const answer = await ask(gateway, name, token);
  const text = await answer.text();
  assert.equal(answer.status, 502, `${name}: ${text}`);
  assert.equal(answer.headers.get('www-authenticate'), null);
  for (const value of Object.values(ACCOUNT)) assert.ok(!text.includes(value), text);
  const { error, request_id: id } = JSON.parse(text);
  assert.equal(error, 'server_error');
  assert.equal(await gateway.reason(id), `call user: the answer cannot be read: the JWT: ${reason}`, name);
}

/** The userinfo as it is, but for one bit of one of its parts. */
function changed(index) {
  return async (provider, request, response) => {
    const { authorization } = request.headers;
    const answer = await fetch(`${provider.issuer}/me`, {
      headers: { authorization },
      signal: AbortSignal.timeout(STEP_TIMEOUT),
    });
    const parts = (await answer.text()).split('.');
    const bytes = Buffer.from(parts[index], 'base64url');
    // Of the header, the last quote: it is still as long, and still base64url.
    const at = bytes.length > 2 ? bytes.length - 2 : 0;
    if (bytes.length === 0) parts[index] = 'AAAA';
    else {
      bytes[at] ^= 1;
      parts[index] = bytes.toString('base64url');
    }
    response.writeHead(200, { 'content-type': 'application/jwt' }).end(parts.join('.'));
  };
}

describe('userinfo that an identity provider signs', SUITE, () => {
  const started = [];
  const tokens = {};
  let gateway;

  before(async () => {
    const clients = SIGNING.map((algorithm) =>
      publicClient(`signed-${algorithm}`, { userinfo_signed_response_alg: algorithm }),
    );
    const features = { jwtUserinfo: { enabled: true } };
    const routes = Object.fromEntries([0, 1, 2].map((index) => [`/changed/${index}`, changed(index)]));
    const idp = await startIdentityProvider({ clients, features, routes, keys: signingKeys() });
    started.push(idp);
    // Another provider, whose keys have the same names.
    const other = await startIdentityProvider({ keys: signingKeys() });
    started.push(other);

    const issuer = idp.origin;
    const rules = { unsigned: rule({ issuer, audience: CLIENT_ID }) };
    for (const algorithm of SIGNING) {
      const audience = `signed-${algorithm}`;
      rules[algorithm] = rule({ issuer, audience });
      rules[`${algorithm}-key`] = rule({ issuer, audience, jwks: 'https://other.example/jwks' });
      rules[`${algorithm}-audience`] = rule({ issuer, audience: CLIENT_ID });
      rules[`${algorithm}-issuer`] = rule({ issuer: other.origin, audience });
      rules[`${algorithm}-algorithm`] = rule({ issuer, audience, more: ', algorithms = "ES384"' });
      for (const index of [0, 1, 2]) {
        rules[`${algorithm}-changed-${index}`] = rule({ issuer, audience, path: `/changed/${index}` });
      }
    }
    const reroute = { 'https://idp.example': idp.origin, 'https://other.example': other.origin };
    gateway = await startClaimsmith({ rules: named(rules), reroute });
    started.push(gateway);

    for (const algorithm of SIGNING) {
      tokens[algorithm] = (await tokensFor(idp.origin, `signed-${algorithm}`)).access_token;
    }
    tokens.unsigned = (await tokensFor(idp.origin)).access_token;
    // A provider whose clock is twenty minutes late: what it signs has long expired.
    mock.timers.enable({ apis: ['Date'], now: Date.now() - 20 * 60_000 });
    try {
      tokens.late = (await tokensFor(idp.origin, 'signed-ES256')).access_token;
    } finally {
      mock.timers.reset();
    }
  });
  after(() => stopAll(started));

  for (const algorithm of SIGNING) {
    test(`with ${algorithm} is read`, () => assertAccepted(gateway, algorithm, tokens[algorithm]));

    test(`with ${algorithm} is refused when key, audience, issuer or algorithm is another`, async () => {
      const token = tokens[algorithm];
      await assertRefused(gateway, `${algorithm}-key`, token, 'its signature is wrong');
      await assertRefused(gateway, `${algorithm}-audience`, token, 'it is for another audience');
      await assertRefused(gateway, `${algorithm}-issuer`, token, 'it is from another issuer');
      await assertRefused(gateway, `${algorithm}-algorithm`, token, 'its algorithm is not accepted');
    });

    test(`with ${algorithm} is refused when it was changed on the way`, async () => {
      const token = tokens[algorithm];
      await assertRefused(gateway, `${algorithm}-changed-0`, token, 'it is not a JWT');
      await assertRefused(gateway, `${algorithm}-changed-1`, token, 'its signature is wrong');
      await assertRefused(gateway, `${algorithm}-changed-2`, token, 'its signature is wrong');
    });
  }

  test('is refused when its time is over', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() - 20 * 60_000 });
    try {
      const reason = 'it has expired, or does not say when it does';
      await assertRefused(gateway, 'ES256', tokens.late, reason);
    } finally {
      mock.timers.reset();
    }
    // And with a clock that is right it is the token that has expired.
    assert.equal((await ask(gateway, 'ES256', tokens.late)).status, 401);
  });

  test('is refused when it is not signed', () =>
    assertRefused(gateway, 'unsigned', tokens.unsigned, 'it is not a JWT'));
});

describe('userinfo that an identity provider signs and encrypts for us', SUITE, () => {
  const started = [];
  const tokens = {};
  let gateway;

  const kinds = ENCRYPTING.flatMap((algorithm) => CIPHERS.map((cipher) => [algorithm, cipher]));

  before(async () => {
    const env = {};
    const clients = [];
    for (const algorithm of ENCRYPTING) {
      const [own, other] = [makeKey(algorithm), makeKey(algorithm)];
      Object.assign(env, {
        [`${algorithm}_PEM`]: own.pem,
        [`${algorithm}_JWK`]: JSON.stringify({ ...own.jwk, kid: 'ours', use: 'enc' }),
        [`${algorithm}_OTHER`]: other.pem,
      });
      for (const cipher of CIPHERS) {
        clients.push(
          publicClient(`${algorithm}-${cipher}`, {
            userinfo_signed_response_alg: 'ES256',
            userinfo_encrypted_response_alg: algorithm,
            userinfo_encrypted_response_enc: cipher,
            jwks: { keys: [{ ...own.publicJwk, kid: 'ours', use: 'enc' }] },
          }),
        );
      }
    }
    const features = { jwtUserinfo: { enabled: true }, encryption: { enabled: true } };
    const routes = Object.fromEntries(PARTS.map((part, index) => [`/changed/${part}`, changed(index)]));
    const idp = await startIdentityProvider({ clients, features, routes, keys: signingKeys() });
    started.push(idp);
    const other = await startIdentityProvider({ keys: signingKeys() });
    started.push(other);

    const rules = {};
    for (const [algorithm, cipher] of kinds) {
      const kind = `${algorithm}-${cipher}`;
      const common = { issuer: idp.origin, audience: kind };
      rules[`${kind}-pem`] = rule({ ...common, decrypt: `${algorithm}_PEM` });
      rules[`${kind}-jwk`] = rule({ ...common, decrypt: `${algorithm}_JWK` });
      rules[`${kind}-other`] = rule({ ...common, decrypt: `${algorithm}_OTHER` });
      rules[`${kind}-without`] = rule(common);
      rules[`${kind}-signature`] = rule({
        ...common,
        decrypt: `${algorithm}_PEM`,
        jwks: 'https://other.example/jwks',
      });
      rules[`${kind}-audience`] = rule({ ...common, audience: CLIENT_ID, decrypt: `${algorithm}_PEM` });
      for (const part of PARTS) {
        rules[`${kind}-${part}`] = rule({ ...common, path: `/changed/${part}`, decrypt: `${algorithm}_PEM` });
      }
    }
    const reroute = { 'https://idp.example': idp.origin, 'https://other.example': other.origin };
    gateway = await startClaimsmith({ rules: named(rules), reroute, env });
    started.push(gateway);
    for (const kind of kinds.map((kind) => kind.join('-'))) {
      tokens[kind] = (await tokensFor(idp.origin, kind)).access_token;
    }
  });
  after(() => stopAll(started));

  for (const kind of kinds.map((kind) => kind.join('-'))) {
    test(`with ${kind} is read with our key, as PEM and as JWK`, async () => {
      await assertAccepted(gateway, `${kind}-pem`, tokens[kind]);
      await assertAccepted(gateway, `${kind}-jwk`, tokens[kind]);
    });

    test(`with ${kind} is refused with another key of ours, or none`, async () => {
      await assertRefused(gateway, `${kind}-other`, tokens[kind], 'it cannot be decrypted with our key');
      await assertRefused(gateway, `${kind}-without`, tokens[kind], 'it is not a JWT');
    });

    test(`with ${kind} is refused when the signature inside is wrong, or for others`, async () => {
      await assertRefused(gateway, `${kind}-signature`, tokens[kind], 'its signature is wrong');
      await assertRefused(gateway, `${kind}-audience`, tokens[kind], 'it is for another audience');
    });

    for (const part of PARTS) {
      test(`with ${kind} is refused when its ${part} was changed`, async () => {
        const reason =
          part === 'header'
            ? 'it is not a JWT'
            : part === 'key' && kind.startsWith('ECDH-ES')
              ? 'its algorithm is not accepted'
              : 'it cannot be decrypted with our key';
        await assertRefused(gateway, `${kind}-${part}`, tokens[kind], reason);
      });
    }
  }
});
