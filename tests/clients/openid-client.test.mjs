import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import * as client from 'openid-client';
import { API_KEY, CLAIMS, SUBJECT, TOKEN, startScene } from './fakes.mjs';
import { SUITE, failureOf, stopAll, visible } from './support.mjs';

function configurationFor(userinfoEndpoint) {
  const config = new client.Configuration(
    { issuer: 'https://provider.example', userinfo_endpoint: userinfoEndpoint },
    'the-client',
  );
  client.allowInsecureRequests(config);
  return config;
}

/** The library never sends a request without a token; a lost header looks like this. */
function withoutAuthorization(config) {
  config[client.customFetch] = (url, { headers: { authorization, ...headers }, ...options }) =>
    fetch(url, { ...options, headers });
  return config;
}

describe('openid-client', SUITE, () => {
  const started = [];
  let scene;
  let gateway;
  let provider;

  before(async () => {
    scene = await startScene(started);
    gateway = configurationFor(scene.gatewayEndpoint);
    provider = configurationFor(scene.providerEndpoint);
  });
  after(() => stopAll(started));

  const failuresFor = async (token, prepare = (config) => config) => {
    const ask = (endpoint) =>
      failureOf(client.fetchUserInfo(prepare(configurationFor(endpoint)), token, client.skipSubjectCheck));
    const [ours, theirs] = await Promise.all([ask(scene.gatewayEndpoint), ask(scene.providerEndpoint)]);
    return { ours, theirs };
  };

  test('accepts the claims, as it accepts a provider’s own', async () => {
    // CLAIMS holds a sub that only survives if no number type came between, and an
    // email of the second call.
    const claims = await client.fetchUserInfo(gateway, TOKEN.good, SUBJECT);
    assert.deepEqual(claims, CLAIMS);
    assert.deepEqual(claims, await client.fetchUserInfo(provider, TOKEN.good, SUBJECT));
  });

  test('has its token handed on, and the rule’s own header with it', async () => {
    scene.acme.requests.length = 0;
    await client.fetchUserInfo(gateway, TOKEN.good, SUBJECT);
    const seen = scene.acme.requests
      .map(({ method, path, headers }) => ({
        method,
        path,
        authorization: headers.authorization,
        apiKey: headers['api-key'],
      }))
      .sort((one, other) => one.path.localeCompare(other.path));
    assert.deepEqual(seen, [
      { method: 'GET', path: '/v2/me', authorization: 'Bearer good', apiKey: API_KEY },
      { method: 'GET', path: '/v2/me/emails', authorization: 'Bearer good', apiKey: undefined },
    ]);
  });

  test('rejects the claims of another subject', async () => {
    // The neighbour a rounded number would have become.
    const failure = await failureOf(client.fetchUserInfo(gateway, TOKEN.good, '9007199254740992'));
    assert.ok(failure instanceof client.ClientError);
    assert.equal(failure.code, 'OAUTH_JSON_ATTRIBUTE_COMPARISON_FAILED');
    assert.equal(failure.cause.cause.attribute, 'sub');
    assert.equal(failure.cause.cause.body.sub, SUBJECT);
  });

  test('takes a refused token for one that the provider refused', async () => {
    const { ours, theirs } = await failuresFor(TOKEN.expired);
    assert.ok(ours instanceof client.WWWAuthenticateChallengeError);
    assert.deepEqual(visible(ours), visible(theirs));
    assert.equal(ours.status, 401);
    assert.equal(ours.cause[0].parameters.error, 'invalid_token');
    assert.notEqual(ours.cause[0].parameters.error_description ?? '', '');
  });

  test('takes a forbidden call for a scope that is too narrow', async () => {
    const { ours, theirs } = await failuresFor(TOKEN.narrow);
    assert.ok(ours instanceof client.WWWAuthenticateChallengeError);
    assert.deepEqual(visible(ours), visible(theirs));
    assert.equal(ours.status, 403);
    assert.equal(ours.cause[0].parameters.error, 'insufficient_scope');
  });

  test('is challenged without an error code when it sent no token', async () => {
    const { ours, theirs } = await failuresFor(TOKEN.good, withoutAuthorization);
    assert.ok(ours instanceof client.WWWAuthenticateChallengeError);
    assert.deepEqual(visible(ours), visible(theirs));
    assert.equal(ours.status, 401);
    assert.equal(ours.cause[0].scheme, 'bearer');
    assert.equal(ours.cause[0].parameters.error, undefined);
  });

  for (const token of [TOKEN.broken, TOKEN.garbled]) {
    test(`does not blame the token when the API is ${token}`, async () => {
      const { ours, theirs } = await failuresFor(token);
      assert.ok(ours instanceof client.ClientError);
      // A gateway says 502 where a provider says 500; a client sees neither.
      assert.deepEqual({ ...visible(ours), status: 500 }, visible(theirs));
      assert.equal(visible(ours).status, 502);
      assert.equal(ours.code, 'OAUTH_RESPONSE_IS_NOT_CONFORM');
    });
  }
});
