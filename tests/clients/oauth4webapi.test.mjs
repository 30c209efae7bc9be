import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import * as oauth from 'oauth4webapi';
import { CLAIMS, SUBJECT, TOKEN, startScene } from './fakes.mjs';
import { STEP_TIMEOUT, SUITE, failureOf, stopAll, visible } from './support.mjs';

const CLIENT = { client_id: 'the-client' };

const serverWith = (userinfoEndpoint) => ({
  issuer: 'https://provider.example',
  userinfo_endpoint: userinfoEndpoint,
});

const options = () => ({
  [oauth.allowInsecureRequests]: true,
  signal: AbortSignal.timeout(STEP_TIMEOUT),
});

const formPost = (url, fields) => fetch(url, { ...options(), method: 'POST', body: new URLSearchParams(fields) });

describe('oauth4webapi', SUITE, () => {
  const started = [];
  let scene;
  let gateway;
  let provider;

  before(async () => {
    scene = await startScene(started);
    gateway = serverWith(scene.gatewayEndpoint);
    provider = serverWith(scene.providerEndpoint);
  });
  after(() => stopAll(started));

  const request = (server, token) => oauth.userInfoRequest(server, CLIENT, token, options());
  const claimsOf = (server, response, subject = SUBJECT) =>
    oauth.processUserInfoResponse(server, CLIENT, subject, response);

  test('accepts the claims, which no cache may keep', async () => {
    const response = await request(gateway, TOKEN.good);
    assert.equal(response.status, 200);
    assert.match(response.headers.get('content-type'), /^application\/json\b/);
    assert.equal(response.headers.get('cache-control'), 'no-store');
    assert.deepEqual(await claimsOf(gateway, response), CLAIMS);
  });

  test('accepts the claims when the optional call failed', async () => {
    const { email, ...rest } = CLAIMS;
    const claims = await claimsOf(gateway, await request(gateway, TOKEN.withoutEmails));
    assert.deepEqual(claims, { ...rest, email_verified: false });
  });

  test('gets the same claims by POST with the token in the header', async () => {
    const response = await oauth.protectedResourceRequest(
      TOKEN.good,
      'POST',
      new URL(scene.gatewayEndpoint),
      undefined,
      undefined,
      options(),
    );
    assert.deepEqual(await claimsOf(gateway, response), CLAIMS);
  });

  test('gets the same claims by POST with the token in the form (RFC 6750, 2.2)', async () => {
    const response = await formPost(scene.gatewayEndpoint, { access_token: TOKEN.good });
    assert.deepEqual(await claimsOf(gateway, response), CLAIMS);
  });

  test('is refused the same way when the form holds a bad token', async () => {
    const byForm = await failureOf(
      formPost(scene.gatewayEndpoint, { access_token: TOKEN.expired }).then((response) => claimsOf(gateway, response)),
    );
    const byHeader = await failureOf(request(gateway, TOKEN.expired).then((response) => claimsOf(gateway, response)));
    assert.deepEqual(visible(byForm), visible(byHeader));
    assert.equal(byForm.status, 401);
  });

  test('may not send the token twice (RFC 6750, 2 and 3.1)', async () => {
    const failure = await failureOf(
      oauth.protectedResourceRequest(
        TOKEN.good,
        'POST',
        new URL(scene.gatewayEndpoint),
        new Headers({ 'content-type': 'application/x-www-form-urlencoded' }),
        `access_token=${TOKEN.good}`,
        options(),
      ),
    );
    assert.ok(failure instanceof oauth.WWWAuthenticateChallengeError);
    assert.equal(failure.status, 400);
    assert.equal(failure.cause[0].parameters.error, 'invalid_request');
  });

  test('may not send the token in the URL, where logs keep it (RFC 6750, 5.3)', async () => {
    const response = await fetch(`${scene.gatewayEndpoint}?access_token=${TOKEN.good}`, options());
    const failure = await failureOf(claimsOf(gateway, response));
    assert.ok(failure instanceof oauth.WWWAuthenticateChallengeError);
    assert.equal(failure.status, 400);
    assert.equal(failure.cause[0].parameters.error, 'invalid_request');
  });

  test('rejects the claims of another subject', async () => {
    const failure = await failureOf(claimsOf(gateway, await request(gateway, TOKEN.good), '9007199254740992'));
    assert.ok(failure instanceof oauth.OperationProcessingError);
    assert.equal(failure.code, oauth.JSON_ATTRIBUTE_COMPARISON);
    assert.equal(failure.cause.attribute, 'sub');
    assert.equal(failure.cause.body.sub, SUBJECT);
  });

  for (const { token, status, error } of [
    { token: TOKEN.expired, status: 401, error: 'invalid_token' },
    { token: TOKEN.narrow, status: 403, error: 'insufficient_scope' },
  ]) {
    test(`reads ${error} from challenge and body alike, as from a provider`, async () => {
      const ask = async (server) => failureOf(claimsOf(server, await request(server, token)));
      const [ours, theirs] = await Promise.all([ask(gateway), ask(provider)]);
      assert.deepEqual(visible(ours), visible(theirs));
      assert.equal(ours.status, status);
      assert.equal(ours.cause.length, 1);
      assert.equal(ours.cause[0].parameters.error, error);

      const body = await ours.response.json();
      assert.equal(body.error, error);
      assert.equal(body.error_description, ours.cause[0].parameters.error_description);
      assert.match(body.request_id, /\S/);
      assert.equal(ours.response.headers.get('cache-control'), 'no-store');
    });
  }

  test('is told by a bare challenge that a token is needed (RFC 6750, 3.1)', async () => {
    const response = await fetch(scene.gatewayEndpoint, options());
    assert.equal(response.status, 401);
    assert.equal(response.headers.get('www-authenticate'), 'Bearer');
    assert.equal(response.headers.get('cache-control'), 'no-store');
    const failure = await failureOf(claimsOf(gateway, response));
    assert.deepEqual(failure.cause, [{ scheme: 'bearer', parameters: {} }]);
  });

  for (const token of [TOKEN.broken, TOKEN.garbled]) {
    test(`does not blame the token when the API is ${token}`, async () => {
      const ask = async (server) => failureOf(claimsOf(server, await request(server, token)));
      const [ours, theirs] = await Promise.all([ask(gateway), ask(provider)]);
      // A gateway says 502 where a provider says 500; a client sees neither.
      assert.deepEqual({ ...visible(ours), status: 500 }, visible(theirs));
      assert.equal(ours.code, oauth.RESPONSE_IS_NOT_CONFORM);

      const response = ours.cause;
      assert.equal(response.status, 502);
      assert.equal(response.headers.get('cache-control'), 'no-store');
      const body = await response.json();
      assert.match(body.error, /\S/);
      assert.match(body.request_id, /\S/);
    });
  }
});
