// Two receivers as they are: a login through Auth.js and one through Better Auth, at a
// real provider, with claimsmith as the userinfo endpoint. The receiver is no test double
// here, so what its contract says of it is seen to be true.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Auth, skipCSRFCheck } from '@auth/core';
import { betterAuth } from 'better-auth';
import { memoryAdapter } from 'better-auth/adapters/memory';
import { genericOAuth } from 'better-auth/plugins/generic-oauth';
import { ACCOUNT, CLIENT_ID, ORIGIN, startIdentityProvider } from './identity-provider.mjs';
import { SUITE, startClaimsmith, startServer, stopAll } from './support.mjs';
import { followTo } from './user-agent.mjs';

const SECRET = 'a-secret-of-these-tests-and-of-nothing-else';

/** The claims of an account, under the names that a receiver reads. */
const rule = (head, claims, tail = '') => `
${head}

[call.user]
url = "https://idp.example/awkward/userinfo"

[claims]
${claims}
name = "$.user.data.profile.display"
email = "$.user.data.contacts[?@.kind == 'email' && @.primary == true].address"
email_verified = "$.user.data.contacts[?@.kind == 'email' && @.primary == true].verified"
${tail}
`;

const denial = (error) => `
[[require]]
that = "false"
error = "${error}"
reason = "it is refused"
`;

const REFUSALS = {
  401: denial('invalid_token'),
  403: denial('access_denied'),
  500: 'nothing = { path = "$.user.nothing", required = true }',
  503: denial('temporarily_unavailable'),
};

const AUTHJS = ['receiver = "authjs"', 'sub = "$.user.data.profile.uid"'];
const NO_RECEIVER = ['', AUTHJS[1]];
const BETTER_AUTH = ['receiver = "better-auth"\nsubject = "id"', 'id = "$.user.data.profile.uid"'];

function rules() {
  const all = {
    authjs: rule(...AUTHJS),
    plain: rule(...NO_RECEIVER),
    'better-auth': rule(...BETTER_AUTH),
  };
  for (const [status, tail] of Object.entries(REFUSALS)) {
    all[`authjs-${status}`] = rule(...AUTHJS, tail);
    all[`plain-${status}`] = rule(...NO_RECEIVER, tail);
    all[`better-auth-${status}`] = rule(...BETTER_AUTH, tail);
  }
  return all;
}

/** Sends a request to an in-process receiver as a browser would, and keeps its cookies. */
function browser(handler) {
  const cookies = new Map();
  return async (path, init = {}) => {
    const headers = new Headers(init.headers);
    headers.set('cookie', [...cookies].map(([name, value]) => `${name}=${value}`).join('; '));
    const response = await handler(new Request(new URL(path, ORIGIN), { ...init, headers, redirect: 'manual' }));
    for (const cookie of response.headers.getSetCookie()) {
      const [, name, value] = cookie.match(/^([^=]+)=([^;]*)/);
      if (value === '') cookies.delete(name);
      else cookies.set(name, value);
    }
    return response;
  };
}

describe('receivers', SUITE, () => {
  const started = [];
  let idp;
  let gateway;
  // Answers as no claimsmith would: what the contracts say of them is seen to be so.
  let careless;
  let answer;

  before(async () => {
    idp = await startIdentityProvider();
    started.push(idp);
    gateway = await startClaimsmith({ rules: rules(), reroute: { 'https://idp.example': idp.origin } });
    started.push(gateway);
    careless = await startServer((_request, response) =>
      response.writeHead(200, { 'content-type': 'application/json' }).end(answer),
    );
    started.push(careless);
  });
  after(() => stopAll(started));

  /** Logs in through Auth.js: the user and the account, or undefined if it refuses. */
  async function logInWithAuthjs(userinfo) {
    let account;
    const visit = browser((request) =>
      Auth(request, {
        secret: SECRET,
        trustHost: true,
        basePath: '/authjs',
        skipCSRFCheck,
        // It prints what it refuses, which here is what it ought to.
        logger: { error() {}, warn() {}, debug() {} },
        callbacks: {
          jwt({ token, account: signedIn }) {
            account ??= signedIn ?? undefined;
            return token;
          },
        },
        providers: [
          {
            id: 'acme',
            name: 'Acme',
            type: 'oauth',
            issuer: idp.origin,
            clientId: CLIENT_ID,
            client: { token_endpoint_auth_method: 'none' },
            checks: ['pkce', 'state'],
            authorization: { url: `${idp.origin}/auth`, params: { scope: 'openid profile email' } },
            token: `${idp.origin}/token`,
            userinfo,
          },
        ],
      }),
    );
    const start = await visit('/authjs/signin/acme', { method: 'POST' });
    await visit(await followTo(`${ORIGIN}/authjs/callback/acme`, start.headers.get('location')));
    const session = await (await visit('/authjs/session')).json();
    return session === null ? undefined : { user: session.user, id: account.providerAccountId };
  }

  /** Logs in through Better Auth: the user and the account, or where it sends the user with an error. */
  async function logInWithBetterAuth(userInfoUrl) {
    const database = { user: [], session: [], account: [], verification: [] };
    const { handler } = betterAuth({
      secret: SECRET,
      baseURL: `${ORIGIN}/better-auth`,
      basePath: '/better-auth',
      database: memoryAdapter(database),
      logger: { disabled: true },
      telemetry: { enabled: false },
      plugins: [
        genericOAuth({
          config: [
            {
              providerId: 'acme',
              clientId: CLIENT_ID,
              authorizationUrl: `${idp.origin}/auth`,
              tokenUrl: `${idp.origin}/token`,
              userInfoUrl,
              scopes: ['openid', 'profile', 'email'],
              pkce: true,
            },
          ],
        }),
      ],
    });
    const visit = browser(handler);
    const start = await visit('/better-auth/sign-in/social', {
      method: 'POST',
      headers: { 'content-type': 'application/json', origin: ORIGIN },
      body: JSON.stringify({ provider: 'acme', callbackURL: '/welcome', errorCallbackURL: '/error' }),
    });
    const { url } = await start.json();
    const end = await visit(await followTo(`${ORIGIN}/better-auth/callback/acme`, url));
    if (end.headers.get('location') !== '/welcome') return { refused: end.headers.get('location') };
    const [{ name, email, emailVerified }] = database.user;
    return { user: { name, email, emailVerified }, id: database.account[0].accountId };
  }

  /** A login on an answer that claimsmith would not have given. */
  const onCareless = (logIn, text) => {
    answer = text;
    return logIn(careless.origin);
  };

  test('Auth.js logs in with our claims', async () => {
    const { user, id } = await logInWithAuthjs(gateway.url('authjs'));
    assert.deepEqual(user, { name: ACCOUNT.name, email: ACCOUNT.email });
    assert.equal(id, ACCOUNT.id);
  });

  for (const status of Object.keys(REFUSALS)) {
    test(`Auth.js refuses our ${status}, which has no body`, async () => {
      assert.equal(await logInWithAuthjs(gateway.url(`authjs-${status}`)), undefined);
    });

    // The control: this is what the contract is for. Should it fail, Auth.js has learnt to
    // look at the status, and errors may have a body again.
    test(`Auth.js logs somebody in on a ${status} with a body`, async () => {
      const { user, id } = await logInWithAuthjs(gateway.url(`plain-${status}`));
      assert.deepEqual(user, {});
      assert.match(id, /^[0-9a-f-]{36}$/, 'a user that nobody is');
    });
  }

  test('Auth.js refuses an address that has no rule', async () => {
    assert.equal(await logInWithAuthjs(gateway.url('mistyped')), undefined);
  });

  test('Better Auth logs in with our claims', async () => {
    const { user, id } = await logInWithBetterAuth(gateway.url('better-auth'));
    assert.deepEqual(user, { name: ACCOUNT.name, email: ACCOUNT.email, emailVerified: true });
    assert.equal(id, ACCOUNT.id);
  });

  for (const status of Object.keys(REFUSALS)) {
    test(`Better Auth refuses our ${status}`, async () => {
      const { refused } = await logInWithBetterAuth(gateway.url(`better-auth-${status}`));
      assert.equal(refused, '/error?error=unable_to_get_user_info');
    });
  }

  const REST = '"email":"ada@idp.example","name":"Ada Lovelace"';

  test('both round an id that is a number: another user', async () => {
    const text = `{"id":${ACCOUNT.id},${REST}}`;
    const neighbour = String(Number(ACCOUNT.id));
    assert.notEqual(neighbour, ACCOUNT.id);
    for (const logIn of [logInWithAuthjs, logInWithBetterAuth]) {
      assert.equal(String((await onCareless(logIn, text)).id), neighbour);
    }
  });

  test('Auth.js takes `sub` before `id`, Better Auth `id` alone', async () => {
    const both = `{"id":"1","sub":"2",${REST}}`;
    assert.equal((await onCareless(logInWithAuthjs, both)).id, '2');
    assert.equal((await onCareless(logInWithBetterAuth, both)).id, '1');
    const { refused } = await onCareless(logInWithBetterAuth, `{"sub":"1",${REST}}`);
    assert.equal(refused, '/error?error=unable_to_get_user_info');
  });

  test('neither survives an e-mail that is no text', async () => {
    const text = '{"id":"1","email":["ada@idp.example"],"name":"Ada Lovelace"}';
    assert.equal(await onCareless(logInWithAuthjs, text), undefined);
    assert.match((await onCareless(logInWithBetterAuth, text)).refused, /error=internal_server_error$/);
  });

  test('Better Auth refuses a user without an e-mail', async () => {
    const { refused } = await onCareless(logInWithBetterAuth, '{"id":"1","name":"Ada Lovelace"}');
    assert.equal(refused, '/error?error=email_not_found');
  });

  test('Better Auth reads the word for true, and takes a number for false', async () => {
    for (const [written, read] of [['"true"', true], ['1', false]]) {
      const { user } = await onCareless(logInWithBetterAuth, `{"id":"1",${REST},"email_verified":${written}}`);
      assert.equal(user.emailVerified, read, written);
    }
  });
});
