// A whole login: openid-client, oidc-provider, and claimsmith as the userinfo endpoint.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import * as client from 'openid-client';
import { ACCOUNT, CLIENT_ID, REDIRECT_URI, startIdentityProvider } from './identity-provider.mjs';
import { SUITE, failureOf, startClaimsmith, stopAll, visible } from './support.mjs';
import { followTo } from './user-agent.mjs';

const RULE = `
description = "An identity provider with a userinfo of its own making"

[call.user]
url = "https://idp.example/awkward/userinfo"

[claims]
sub = "$.user.data.profile.uid"
name = "$.user.data.profile.display"
email = "$.user.data.contacts[?@.kind == 'email' && @.primary == true].address"
email_verified = "$.user.data.contacts[?@.kind == 'email' && @.primary == true].verified"
`;

describe('a login with claimsmith as the userinfo endpoint', SUITE, () => {
  const started = [];
  // The provider as it is, and as a client is told that uses claimsmith with it.
  let direct;
  let throughGateway;

  before(async () => {
    const idp = await startIdentityProvider();
    started.push(idp);
    const gateway = await startClaimsmith({
      rules: { idp: RULE },
      reroute: { 'https://idp.example': idp.origin },
    });
    started.push(gateway);

    direct = await client.discovery(new URL(idp.origin), CLIENT_ID, undefined, client.None(), {
      execute: [client.allowInsecureRequests],
    });
    throughGateway = new client.Configuration(
      { ...direct.serverMetadata(), userinfo_endpoint: gateway.url('idp') },
      CLIENT_ID,
      undefined,
      client.None(),
    );
    client.allowInsecureRequests(throughGateway);
  });
  after(() => stopAll(started));

  async function logIn(scope) {
    const pkceCodeVerifier = client.randomPKCECodeVerifier();
    const expectedState = client.randomState();
    const start = client.buildAuthorizationUrl(throughGateway, {
      redirect_uri: REDIRECT_URI,
      scope,
      state: expectedState,
      code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
      code_challenge_method: 'S256',
    });
    const callback = await followTo(REDIRECT_URI, start);
    return client.authorizationCodeGrant(throughGateway, callback, { pkceCodeVerifier, expectedState });
  }

  const userinfo = (config, { access_token: token }) =>
    client.fetchUserInfo(config, token, client.skipSubjectCheck);

  async function assertRefusedAlike(tokens) {
    const ours = await failureOf(userinfo(throughGateway, tokens));
    const theirs = await failureOf(userinfo(direct, tokens));
    assert.ok(ours instanceof client.WWWAuthenticateChallengeError);
    assert.deepEqual(visible(ours), visible(theirs));
    return ours;
  }

  test('yields the claims of the subject that the ID token names', async () => {
    const tokens = await logIn('openid profile email');
    const { sub } = tokens.claims();
    assert.equal(sub, ACCOUNT.id);

    const claims = await client.fetchUserInfo(throughGateway, tokens.access_token, sub);
    assert.deepEqual(claims, {
      sub: ACCOUNT.id,
      name: ACCOUNT.name,
      email: ACCOUNT.email,
      email_verified: true,
    });
    // The detour leaves no trace: these are the claims the provider itself gives.
    assert.deepEqual(claims, await client.fetchUserInfo(direct, tokens.access_token, sub));
  });

  test('ends when the access token is revoked', async () => {
    const tokens = await logIn('openid profile email');
    assert.equal((await userinfo(throughGateway, tokens)).sub, ACCOUNT.id);
    await client.tokenRevocation(throughGateway, tokens.access_token);

    const refusal = await assertRefusedAlike(tokens);
    assert.equal(refusal.status, 401);
    assert.equal(refusal.cause[0].parameters.error, 'invalid_token');
  });

  test('does not help a token that was made up', async () => {
    const refusal = await assertRefusedAlike({ access_token: client.randomState() });
    assert.equal(refusal.status, 401);
    assert.equal(refusal.cause[0].parameters.error, 'invalid_token');
  });

  test('does not widen the scope of an access token', async () => {
    const tokens = await logIn('profile');
    const refusal = await assertRefusedAlike(tokens);
    assert.equal(refusal.status, 403);
    assert.equal(refusal.cause[0].parameters.error, 'insufficient_scope');
  });
});
