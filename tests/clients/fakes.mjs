// Two fake servers that take the same tokens: Acme, an API that knows nothing of
// OAuth's userinfo, and a provider whose userinfo endpoint follows RFC 6750. A client
// must not be able to tell claimsmith in front of Acme from the provider.

import { startClaimsmith, startServer } from './support.mjs';

/** What the token says is what the servers do with it. */
export const TOKEN = {
  good: 'good',
  withoutEmails: 'without-emails',
  expired: 'expired',
  narrow: 'narrow',
  broken: 'broken',
  garbled: 'garbled',
};

/** One more than a double can hold: read as one, it ends in 2. */
export const SUBJECT = '9007199254740993';

export const CLAIMS = {
  sub: SUBJECT,
  email: 'ada@acme.example',
  email_verified: true,
  name: 'Ada Lovelace',
};

export const API_KEY = 'the-api-key';

const ACME_RULE = `
description = "Acme"

[vars]
host = "api.acme.example"

[secrets]
api_key = { env = "ACME_API_KEY" }

[call.user]
url = "https://\${vars.host}/v2/me"
headers = { api-key = "\${secrets.api_key}" }

[call.emails]
url = "https://\${vars.host}/v2/me/emails"
optional = true

[claims]
sub = "$.user.profile.id"
email = "$.emails[?@.primary == true].address"
email_verified = { path = "$.emails[?@.primary == true].verified", default = false }
name = ["$.user.profile.display", "$.user.login"]
`;

// Text, as JSON.stringify cannot write this number.
const ACME_USER = `{"login":"ada","profile":{"id":${SUBJECT},"display":"Ada Lovelace"}}`;

const ACME_EMAILS = JSON.stringify([
  { address: 'countess@old.example', primary: false, verified: false },
  { address: 'ada@acme.example', primary: true, verified: true },
]);

function tokenOf(request) {
  return request.headers.authorization?.match(/^Bearer (\S+)$/)?.[1];
}

function send(response, status, body, headers = {}) {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body);
}

/** Errors in the manner of most APIs: a status, a message, and no challenge. */
function answerAsAcme(request, response) {
  const isEmails = request.url === '/v2/me/emails';
  switch (tokenOf(request)) {
    case TOKEN.good:
      return send(response, 200, isEmails ? ACME_EMAILS : ACME_USER);
    case TOKEN.withoutEmails:
      return isEmails ? send(response, 500, '{"message":"Oops"}') : send(response, 200, ACME_USER);
    case TOKEN.narrow:
      return send(response, 403, '{"message":"Not allowed"}');
    case TOKEN.broken:
      return send(response, 500, '{"message":"Oops"}');
    case TOKEN.garbled:
      return send(response, 200, '<h1>Welcome</h1>', { 'content-type': 'text/html' });
    default:
      return send(response, 401, '{"message":"Bad credentials"}');
  }
}

/** The answers of RFC 6750, section 3 and 3.1, and OpenID Connect Core, section 5.3. */
function answerAsProvider(request, response) {
  const challenge = (parameters) => ({ 'www-authenticate': `Bearer realm="provider"${parameters}` });
  switch (tokenOf(request)) {
    case undefined:
      return send(response, 401, '', challenge(''));
    case TOKEN.good:
      return send(response, 200, JSON.stringify(CLAIMS));
    case TOKEN.narrow:
      return send(
        response,
        403,
        '{"error":"insufficient_scope"}',
        challenge(', error="insufficient_scope", error_description="More is needed", scope="openid"'),
      );
    case TOKEN.broken:
    case TOKEN.garbled:
      return send(response, 500, '{"error":"server_error"}');
    default:
      return send(
        response,
        401,
        '{"error":"invalid_token"}',
        challenge(', error="invalid_token", error_description="The access token expired"'),
      );
  }
}

/** Pushes what it starts to `started`, so that a half-started scene can be stopped too. */
export async function startScene(started) {
  const start = async (starting) => {
    const one = await starting;
    started.push(one);
    return one;
  };
  const acme = await start(startServer(answerAsAcme));
  const provider = await start(startServer(answerAsProvider));
  const gateway = await start(
    startClaimsmith({
      rules: { acme: ACME_RULE },
      reroute: { 'https://api.acme.example': acme.origin },
      env: { ACME_API_KEY: API_KEY },
    }),
  );
  return {
    acme,
    gatewayEndpoint: gateway.url('acme'),
    providerEndpoint: `${provider.origin}/userinfo`,
  };
}
