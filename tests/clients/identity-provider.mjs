// A real OpenID provider, npm's oidc-provider, with two things added: accounts log in
// and consent without anyone clicking, and its userinfo endpoint has an awkward double
// at /awkward/userinfo, which is what claimsmith is for.

import { randomBytes } from 'node:crypto';
import Provider from 'oidc-provider';
import { makeKey } from './keys.mjs';
import { STEP_TIMEOUT, startServer } from './support.mjs';

export const CLIENT_ID = 'the-client';

// Nothing listens there: a test reads the code off the redirect and does not follow it.
export const ORIGIN = 'http://127.0.0.1';
export const REDIRECT_URI = `${ORIGIN}/callback`;

/** More than a double can hold, so that a subject rounded on the way is noticed. */
export const ACCOUNT = {
  id: '9007199254740993',
  name: 'Ada Lovelace',
  email: 'ada@idp.example',
};

const signingKey = () => ({ ...makeKey('RS256').jwk, kid: 'signing', use: 'sig', alg: 'RS256' });

function configuration({ clients = [], features = {}, scopes = [], keys = [] }) {
  return {
    clients: [
      ...clients,
      {
        client_id: CLIENT_ID,
        token_endpoint_auth_method: 'none',
        application_type: 'native',
        redirect_uris: [REDIRECT_URI, `${ORIGIN}/authjs/callback/acme`, `${ORIGIN}/better-auth/callback/acme`],
        grant_types: ['authorization_code'],
        response_types: ['code'],
      },
    ],
    findAccount: (_context, id) => ({
      accountId: id,
      claims: () => ({ sub: id, name: ACCOUNT.name, email: ACCOUNT.email, email_verified: true }),
    }),
    scopes: ['openid', 'offline_access', ...scopes],
    claims: { openid: ['sub'], profile: ['name'], email: ['email', 'email_verified'] },
    cookies: { keys: [randomBytes(32).toString('hex')] },
    jwks: { keys: [signingKey(), ...keys] },
    features: {
      devInteractions: { enabled: false },
      revocation: {
        enabled: true,
        allowedPolicy: (_context, revoking, token) => token.clientId === revoking.clientId,
      },
      ...features,
    },
    ttl: { AccessToken: 600, Grant: 600, IdToken: 600, Interaction: 600, Session: 600 },
    interactions: { url: (_context, interaction) => `/interaction/${interaction.uid}` },
  };
}

/** Gives the provider what a person would: a login, then consent to all that is asked. */
async function interact(provider, request, response) {
  const { prompt, params, session } = await provider.interactionDetails(request, response);
  if (prompt.name === 'login') {
    return provider.interactionFinished(request, response, { login: { accountId: ACCOUNT.id } });
  }
  const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  if (params.resource) grant.addResourceScope(params.resource, params.scope);
  return provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } });
}

/** The provider's own userinfo in the manner of an API that never heard of the standard. */
async function awkwardUserinfo(origin, request, response) {
  const { authorization } = request.headers;
  const answer = await fetch(`${origin}/me`, {
    headers: authorization === undefined ? {} : { authorization },
    signal: AbortSignal.timeout(STEP_TIMEOUT),
  });
  if (answer.status !== 200) {
    const headers = { 'content-type': answer.headers.get('content-type') };
    const challenge = answer.headers.get('www-authenticate');
    if (challenge !== null) headers['www-authenticate'] = challenge;
    response.writeHead(answer.status, headers).end(await answer.text());
    return;
  }
  const claims = await answer.json();
  const contacts = [
    { kind: 'phone', number: '+44 20 7946 0000' },
    { kind: 'email', address: claims.email, primary: true, verified: String(claims.email_verified) },
  ];
  // Text, as JSON.stringify cannot write the uid as a number.
  const profile = `{"uid":${claims.sub},"display":${JSON.stringify(claims.name)}}`;
  response
    .writeHead(200, { 'content-type': 'application/json' })
    .end(`{"ok":true,"data":{"profile":${profile},"contacts":${JSON.stringify(contacts)}}}`);
}

/**
 * `extra` adds `clients`, `features`, `scopes` and signing `keys` to the provider's configuration, and `routes`,
 * functions by their path, to what its server answers.
 */
export async function startIdentityProvider(extra = {}) {
  // The issuer is the origin, which is known only once the server listens.
  let handle;
  const server = await startServer((request, response) =>
    handle(request, response).catch((error) => response.writeHead(500).end(String(error))),
  );
  const { origin } = server;
  const provider = new Provider(origin, configuration(extra));
  const standard = provider.callback();
  handle = async (request, response) => {
    if (request.url.startsWith('/interaction/')) return interact(provider, request, response);
    if (request.url === '/awkward/userinfo') return awkwardUserinfo(origin, request, response);
    const route = extra.routes?.[request.url];
    if (route) return route(provider, request, response);
    return standard(request, response);
  };
  return server;
}
