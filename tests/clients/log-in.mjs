// A login at the identity provider, for the tokens that come of it.

import * as client from 'openid-client';
import { CLIENT_ID, REDIRECT_URI } from './identity-provider.mjs';
import { followTo } from './user-agent.mjs';

/**
 * The tokens that a public client gets for the account that logs in; `parameters` are
 * sent to both endpoints (`scope`, `resource`).
 */
export async function tokensFor(origin, clientId = CLIENT_ID, parameters = {}) {
  const configuration = await client.discovery(new URL(origin), clientId, undefined, client.None(), {
    execute: [client.allowInsecureRequests],
  });
  const pkceCodeVerifier = client.randomPKCECodeVerifier();
  const expectedState = client.randomState();
  const start = client.buildAuthorizationUrl(configuration, {
    redirect_uri: REDIRECT_URI,
    scope: 'openid profile email',
    ...parameters,
    state: expectedState,
    code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: 'S256',
  });
  const callback = await followTo(REDIRECT_URI, start);
  const { resource } = parameters;
  return client.authorizationCodeGrant(
    configuration,
    callback,
    { pkceCodeVerifier, expectedState },
    resource === undefined ? {} : { resource },
  );
}
