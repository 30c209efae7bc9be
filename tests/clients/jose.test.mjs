// What npm's jose signs and encrypts, an implementation of its own of the same standards,
// is read here, each algorithm under its name; what an attacker would make of a token is not.
//
// Each token is tried both ways: as an answer of an API and as the caller's token.

import assert from 'node:assert/strict';
import { createHmac, createPublicKey, randomBytes, sign } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { CompactEncrypt, EncryptJWT, FlattenedSign, SignJWT, UnsecuredJWT } from 'jose';
import { makeKey } from './keys.mjs';
import { STEP_TIMEOUT, SUITE, startClaimsmith, startServer, stopAll } from './support.mjs';

const ISSUER = 'https://login.acme.example';
const API = 'https://api.acme.example';
const US = 'us';

const SIGNING = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'];
const MACS = { HS256: 32, HS384: 48, HS512: 64 };
const ENCRYPTING = ['RSA-OAEP-256', 'ECDH-ES'];
const CIPHERS = ['A128GCM', 'A256GCM'];

const now = Math.floor(Date.now() / 1000);
const claims = (more) => ({ iss: ISSUER, aud: US, sub: 'u1', exp: now + 600, ...more });

const base64url = (data) =>
  Buffer.from(typeof data === 'object' && !Buffer.isBuffer(data) ? JSON.stringify(data) : data).toString('base64url');

/** A token as jose makes it. */
const signed = (algorithm, key, payload = claims(), header = {}) =>
  new SignJWT(payload).setProtectedHeader({ alg: algorithm, ...header }).sign(key);

/** A token with any header and any text as claims, signed for RS256 but for what the header says of it. */
function handMade(header, payload, { key }) {
  const message = `${base64url(header)}.${base64url(payload)}`;
  return `${message}.${sign('sha256', Buffer.from(message), key).toString('base64url')}`;
}

function mac(header, payload, secret) {
  const message = `${base64url(header)}.${base64url(payload)}`;
  return `${message}.${createHmac('sha256', secret).update(message).digest('base64url')}`;
}

/** The two rules that take a token, under `NAME` as an answer, under `NAME-token` as the caller's. */
function rules(name, jwt, secrets = '') {
  const expected = `issuer = "${ISSUER}", audience = "${US}"`;
  const tail = `[claims]\nsub = "$.CALL.sub"\n`;
  return {
    [name]: `${secrets}
[call.user]
url = "${API}/user"
decode = { jwt = { ${jwt}, ${expected} } }
${tail.replace('CALL', 'user')}`,
    [`${name}-token`]: `${secrets}
[token]
jwt = { ${jwt}, ${expected} }
[call.user]
url = "${API}/plain"
${tail.replace('CALL', 'token')}`,
  };
}

/** A provider that publishes `keys` and answers what it was asked with; it counts who wants what. */
function provider(keys) {
  return (request, response) => {
    const json = (body) => response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    switch (request.url) {
      case '/jwks':
        return json({ keys });
      case '/user': {
        const token = request.headers.authorization.replace(/^Bearer /, '');
        return response.writeHead(200, { 'content-type': 'application/jwt' }).end(token);
      }
      default:
        return json({ id: 1 });
    }
  };
}

const ask = (gateway, name, token) =>
  fetch(gateway.url(name.toLowerCase()), {
    headers: { authorization: `Bearer ${token}` },
    signal: AbortSignal.timeout(STEP_TIMEOUT),
  });

async function assertReads(gateway, name, token) {
  const answer = await ask(gateway, name, token);
  assert.deepEqual(
    { status: answer.status, body: await answer.json() },
    { status: 200, body: { sub: 'u1' } },
    name,
  );
}

/** As an answer it is the provider's fault, as a token the caller's; the log has one reason for both. */
async function assertRefuses(gateway, name, token, reason, what = name) {
  for (const [rule, status, words] of [
    [name, 502, 'call user: the answer cannot be read: the JWT: '],
    [`${name}-token`, 401, 'token: '],
  ]) {
    const answer = await ask(gateway, rule, token);
    const text = await answer.text();
    assert.equal(answer.status, status, `${what}: ${text}`);
    assert.ok(!text.includes('u1'), text);
    const logged = await gateway.reason(JSON.parse(text).request_id);
    assert.equal(logged, words + reason, what);
  }
}

describe('a token that jose signs', SUITE, () => {
  const started = [];
  const keys = Object.fromEntries(SIGNING.map((algorithm) => [algorithm, makeKey(algorithm)]));
  const secrets = Object.fromEntries(
    Object.entries(MACS).map(([algorithm, bytes]) => [algorithm, randomBytes(bytes / 2).toString('hex')]),
  );
  let gateway;

  before(async () => {
    const jwks = SIGNING.map((algorithm) => ({ ...keys[algorithm].publicJwk, kid: `kid-${algorithm}`, use: 'sig' }));
    // Kinds of keys that are not known here must not spoil the others.
    jwks.push({ kty: 'AKP', alg: 'ML-DSA-44', pub: 'AAAA' }, { kty: 'oct', k: 'AAAA' });
    const acme = await startServer(provider(jwks));
    started.push(acme);
    const all = rules('any', `jwks = "${ISSUER}/jwks"`);
    for (const algorithm of SIGNING) {
      Object.assign(all, rules(algorithm, `jwks = "${ISSUER}/jwks", algorithms = "${algorithm}"`));
    }
    for (const algorithm of Object.keys(MACS)) {
      const head = `[secrets]\nkey = { env = "${algorithm}" }`;
      Object.assign(all, rules(algorithm, `secret = "\${secrets.key}", algorithms = "${algorithm}"`, head));
    }
    gateway = await startClaimsmith({
      rules: Object.fromEntries(Object.entries(all).map(([name, text]) => [name.toLowerCase(), text])),
      reroute: { [API]: acme.origin, [ISSUER]: acme.origin },
      env: secrets,
    });
    started.push(gateway);
  });
  after(() => stopAll(started));

  for (const algorithm of SIGNING) {
    test(`with ${algorithm} is read, with the name of its key and without`, async () => {
      const { key } = keys[algorithm];
      for (const header of [{ kid: `kid-${algorithm}` }, {}, { kid: `kid-${algorithm}`, typ: 'JWT', cty: 'x' }]) {
        const token = await signed(algorithm, key, claims(), header);
        for (const name of ['any', 'any-token', algorithm, `${algorithm}-token`]) {
          await assertReads(gateway, name, token);
        }
      }
    });

    test(`with ${algorithm} is not read with another key, or where another algorithm is wanted`, async () => {
      const attacker = makeKey(algorithm);
      const token = await signed(algorithm, attacker.key, claims(), { kid: `kid-${algorithm}` });
      await assertRefuses(gateway, algorithm, token, 'its signature is wrong');
      const good = await signed(algorithm, keys[algorithm].key);
      const other = SIGNING.find((one) => one !== algorithm && !(/^Ed/.test(one) && /^Ed/.test(algorithm)));
      await assertRefuses(gateway, other, good, 'its algorithm is not accepted');
    });
  }

  for (const algorithm of Object.keys(MACS)) {
    test(`with ${algorithm} is read with the secret that we share, and with no other`, async () => {
      const token = await signed(algorithm, Buffer.from(secrets[algorithm]));
      await assertReads(gateway, algorithm, token);
      await assertReads(gateway, `${algorithm}-token`, token);
      const other = await signed(algorithm, randomBytes(64));
      await assertRefuses(gateway, algorithm, other, 'its signature is wrong');
      // Without being named, no such algorithm is accepted.
      await assertRefuses(gateway, 'any', token, 'its algorithm is not accepted');
    });
  }

  test('is read with a key of 4096 bits, without a name in the set', async () => {
    const large = makeKey('RS256', { modulusLength: 4096 });
    const acme = await startServer(provider([large.publicJwk]));
    const own = await startClaimsmith({
      rules: rules('any', `jwks = "${ISSUER}/jwks"`),
      reroute: { [API]: acme.origin, [ISSUER]: acme.origin },
    });
    started.push(acme, own);
    await assertReads(own, 'any', await signed('RS512', large.key));
    await assertReads(own, 'any-token', await signed('PS256', large.key));
  });
});

describe('a token that an attacker makes', SUITE, () => {
  const started = [];
  const rsa = makeKey('RS256');
  const ec = makeKey('ES256');
  const ed = makeKey('EdDSA');
  const weak = makeKey('RS256', { modulusLength: 1024 });
  const encrypting = makeKey('RS256');
  const attacker = makeKey('RS256');
  let gateway;
  let evil;

  before(async () => {
    const acme = await startServer(
      provider([
        { ...rsa.publicJwk, kid: 'rsa', alg: 'RS256', use: 'sig' },
        { ...ec.publicJwk, kid: 'ec' },
        { ...ed.publicJwk, kid: 'ed' },
        { ...weak.publicJwk, kid: 'weak' },
        { ...encrypting.publicJwk, kid: 'encrypting', use: 'enc' },
        // The neutral element: with it, a signature of zeros would fit every message.
        { kty: 'OKP', crv: 'Ed25519', kid: 'small', x: base64url(Buffer.from([1, ...Array(31).fill(0)])) },
      ]),
    );
    started.push(acme);
    evil = await startServer(provider([{ ...attacker.publicJwk, kid: 'rsa' }]));
    started.push(evil);
    gateway = await startClaimsmith({
      rules: {
        ...rules('acme', `jwks = "${ISSUER}/jwks"`),
        ...rules('typed', `jwks = "${ISSUER}/jwks", typ = "at+jwt"`),
      },
      reroute: { [API]: acme.origin, [ISSUER]: acme.origin },
    });
    started.push(gateway);
  });
  after(() => stopAll(started));

  const RS256 = { alg: 'RS256', kid: 'rsa' };
  const refuses = (token, reason, what) => assertRefuses(gateway, 'acme', token, reason, what);
  const NO_JWT = 'it is not a JWT';
  const SIGNATURE = 'its signature is wrong';
  const NO_KEY = 'no key of the issuer fits it';
  const ALGORITHM = 'its algorithm is not accepted';
  const EXTENSION = 'it uses an extension that is not understood';
  const AUDIENCE = 'it is for another audience';

  test('differs from one that is read only in what is wrong', async () => {
    for (const name of ['acme', 'acme-token']) {
      await assertReads(gateway, name, handMade(RS256, claims(), rsa));
      await assertReads(gateway, name, await signed('ES256', ec.key, claims(), { kid: 'ec' }));
      await assertReads(gateway, name, await signed('EdDSA', ed.key, claims(), { kid: 'ed' }));
      await assertReads(gateway, name, handMade(RS256, claims({ aud: ['others', US] }), rsa));
    }
  });

  test('without a signature is refused, however `none` is spelt', async () => {
    await refuses(new UnsecuredJWT(claims()).encode(), ALGORITHM, 'jose');
    for (const alg of ['none', 'None', 'NONE', 'nOnE', '', 'null', 'rs256', ' RS256', 'RS256 ']) {
      const token = `${base64url({ alg, kid: 'rsa' })}.${base64url(claims())}`;
      await refuses(`${token}.`, ALGORITHM, alg);
      await refuses(handMade({ ...RS256, alg }, claims(), rsa), ALGORITHM, `${alg} and a signature`);
    }
    for (const alg of [null, 1, ['RS256'], undefined]) {
      await refuses(handMade({ alg, kid: 'rsa' }, claims(), rsa), NO_JWT, JSON.stringify(alg));
    }
    const [header, payload] = handMade(RS256, claims(), rsa).split('.');
    await refuses(`${header}.${payload}.`, SIGNATURE, 'no signature');
    await refuses(`${header}.${payload}`, NO_JWT, 'no third part');
    await refuses(`${header}..${handMade(RS256, claims(), rsa).split('.')[2]}`, SIGNATURE, 'no claims');
  });

  test('with a MAC under the public key is refused', async () => {
    const der = rsa.publicKey.export({ format: 'der', type: 'spki' });
    const pkcs1 = rsa.publicKey.export({ format: 'pem', type: 'pkcs1' });
    const published = JSON.stringify({ ...rsa.publicJwk, kid: 'rsa', alg: 'RS256', use: 'sig' });
    const modulus = Buffer.from(rsa.publicJwk.n, 'base64url');
    for (const secret of [rsa.publicPem, rsa.publicPem.trim(), pkcs1, der, published, modulus, '']) {
      for (const alg of ['HS256', 'HS384', 'HS512']) {
        await refuses(mac({ alg, kid: 'rsa' }, claims(), secret), ALGORITHM, alg);
      }
      await refuses(mac(RS256, claims(), secret), SIGNATURE, 'called RS256');
    }
  });

  test('is refused when it brings its key or says where it is, and nobody asks there', async () => {
    const url = `${evil.origin}/jwks`;
    for (const kid of ['rsa', 'theirs', url, '../../dev/null', "x' OR '1'='1", undefined]) {
      for (const more of [
        { jwk: attacker.publicJwk },
        { jku: url },
        { x5u: url },
        { x5c: [attacker.publicKey.export({ format: 'der', type: 'spki' }).toString('base64')] },
        { x5t: 'AAAA', 'x5t#S256': 'AAAA' },
      ]) {
        const token = await signed('RS256', attacker.key, claims(), { kid, ...more });
        const reason = kid === 'rsa' ? SIGNATURE : NO_KEY;
        await refuses(token, reason, `${kid} ${Object.keys(more)}`);
      }
    }
    assert.equal(evil.requests.length, 0);
    // The same members beside a good signature change nothing.
    await assertReads(gateway, 'acme', await signed('RS256', rsa.key, claims(), { ...RS256, jku: url, x5u: url }));
    assert.equal(evil.requests.length, 0);
  });

  test('with an extension that must be understood is refused', async () => {
    for (const more of [
      { crit: ['exp'], exp: now + 600 },
      { crit: [] },
      { crit: null },
      { crit: 'b64' },
      { crit: ['b64'], b64: true },
      { crit: ['b64'], b64: false },
      { b64: false },
      { zip: 'DEF' },
      { zip: null },
      { zip: '' },
    ]) {
      await refuses(handMade({ ...RS256, ...more }, claims(), rsa), EXTENSION, JSON.stringify(more));
    }
    // As jose makes it: the claims are signed as they stand, unencoded.
    const raw = JSON.stringify(claims());
    const { protected: header, signature } = await new FlattenedSign(Buffer.from(raw))
      .setProtectedHeader({ ...RS256, b64: false, crit: ['b64'] })
      .sign(rsa.key);
    await refuses(`${header}.${base64url(raw)}.${signature}`, EXTENSION, 'unencoded');
  });

  test('in another form is refused', async () => {
    const good = handMade(RS256, claims(), rsa);
    const [header, payload, signature] = good.split('.');
    const standard = (part) => Buffer.from(part, 'base64url').toString('base64');
    for (const token of [
      `${good}.`,
      `.${good}`,
      `${good}=`,
      `${header}.${payload}.${standard(signature)}`,
      `${header}=.${payload}.${signature}`,
      `${header}.${payload}.${signature}.${payload}.${signature}`,
      `${base64url('[]')}.${payload}.${signature}`,
      `${base64url('["RS256"]')}.${payload}.${signature}`,
      `${base64url('{"alg":"none","alg":"RS256","kid":"rsa"}')}.${payload}.${signature}`,
      handMade('{"alg":"RS256","alg":"RS256","kid":"rsa"}', claims(), rsa),
      handMade('{"alg":"RS256","kid":"rsa","kid":"rsa"}', claims(), rsa),
      handMade('\ufeff{"alg":"RS256","kid":"rsa"}', claims(), rsa),
    ]) {
      await refuses(token, NO_JWT, token.slice(0, 80));
    }
    await refuses(`${good}A`, SIGNATURE, 'a byte more');
    const flattened = JSON.stringify({ protected: header, payload, signature });
    // With its quotes it is no access token either.
    assert.equal((await ask(gateway, 'acme-token', flattened)).status, 400);
  });

  test('with a key for something else is refused', async () => {
    for (const [what, token, reason] of [
      ['RS256 key, PS256', await signed('PS256', rsa.key, claims(), { kid: 'rsa' }), NO_KEY],
      ['RS256 key, RS384', await signed('RS384', rsa.key, claims(), { kid: 'rsa' }), NO_KEY],
      ['EC key, called RS256', handMade({ alg: 'RS256', kid: 'ec' }, claims(), rsa), NO_KEY],
      ['RSA key, called ES256', handMade({ alg: 'ES256', kid: 'rsa' }, claims(), ec), NO_KEY],
      ['a signature in DER', handMade({ alg: 'ES256', kid: 'ec' }, claims(), ec), SIGNATURE],
      ['for encryption only', await signed('RS256', encrypting.key, claims(), { kid: 'encrypting' }), NO_KEY],
      ['1024 bits', handMade({ alg: 'RS256', kid: 'weak' }, claims(), weak), NO_KEY],
    ]) {
      await refuses(token, reason, what);
    }
  });

  test('with a signature of zeros is refused', async () => {
    for (const [alg, kid, bytes] of [
      ['ES256', 'ec', 64],
      ['EdDSA', 'ed', 64],
      ['RS256', 'rsa', 256],
    ]) {
      for (const byte of [0, 255]) {
        const signature = Buffer.alloc(bytes, byte).toString('base64url');
        await refuses(`${base64url({ alg, kid })}.${base64url(claims())}.${signature}`, SIGNATURE, `${alg} ${byte}`);
      }
    }
    const neutral = Buffer.from([1, ...Array(63).fill(0)]).toString('base64url');
    const token = `${base64url({ alg: 'EdDSA', kid: 'small' })}.${base64url(claims())}.${neutral}`;
    await refuses(token, SIGNATURE, 'a key of small order');
  });

  test('of another kind is refused', async () => {
    const typed = (typ) => handMade({ ...RS256, typ }, claims(), rsa);
    for (const typ of ['JWT', 'id+jwt', 'logout+jwt', 'dpop+jwt', 'at+jwt ', 'at', '', 'text/at+jwt', undefined]) {
      await assertRefuses(gateway, 'typed', typed(typ), 'it is another kind of token', String(typ));
    }
    for (const typ of ['at+jwt', 'AT+JWT', 'application/at+jwt']) await assertReads(gateway, 'typed', typed(typ));
  });

  test('for another audience is refused, in whatever form', async () => {
    for (const aud of [
      undefined,
      null,
      '',
      'u',
      'us ',
      'US',
      'us2',
      'us,others',
      'others us',
      `https://${US}`,
      [],
      ['others'],
      ['others us'],
      [[US]],
      [null],
      [US, 1],
      [US, [US]],
      { us: true },
      { 0: US },
      true,
      0,
    ]) {
      await refuses(handMade(RS256, claims({ aud }), rsa), AUDIENCE, JSON.stringify(aud));
    }
    const twice = (first, last) =>
      JSON.stringify(claims({ aud: first })).replace(/}$/, `,"aud":${JSON.stringify(last)}}`);
    for (const [first, last] of [['others', US], [US, 'others'], [US, US], [['others'], [US]]]) {
      await refuses(handMade(RS256, twice(first, last), rsa), NO_JWT, `${first} and ${last}`);
    }
    // The other spelling of a name is the same name.
    const escaped = JSON.stringify(claims({ aud: 'others' })).replace(/}$/, ',"\\u0061ud":"us"}');
    await refuses(handMade(RS256, escaped, rsa), NO_JWT, 'escaped');
  });

  test('of another issuer, or another time, is refused', async () => {
    const EXPIRED = 'it has expired, or does not say when it does';
    for (const [more, reason] of [
      [{ iss: undefined }, 'it is from another issuer'],
      [{ iss: `${ISSUER}/` }, 'it is from another issuer'],
      [{ iss: [ISSUER] }, 'it is from another issuer'],
      [{ iss: ISSUER.toUpperCase() }, 'it is from another issuer'],
      [{ exp: now - 120 }, EXPIRED],
      [{ exp: -1 }, EXPIRED],
      [{ exp: 0 }, EXPIRED],
      [{ exp: String(now + 600) }, NO_JWT],
      [{ exp: null }, NO_JWT],
      [{ exp: [now + 600] }, NO_JWT],
      [{ nbf: now + 300 }, 'it is not valid yet'],
      [{ nbf: 'soon' }, NO_JWT],
    ]) {
      await refuses(handMade(RS256, claims(more), rsa), reason, JSON.stringify(more));
    }
    await refuses(handMade(RS256, JSON.stringify(claims()).replace(/"exp":\d+/, '"exp":1e999'), rsa), NO_JWT, '1e999');
    for (const payload of ['[]', 'null', '""', '', '{', `${JSON.stringify(claims())}{}`]) {
      await refuses(handMade(RS256, payload, rsa), NO_JWT, payload);
    }
    // An access token must say when it ends.
    const endless = handMade(RS256, claims({ exp: undefined }), rsa);
    assert.equal((await ask(gateway, 'acme-token', endless)).status, 401);
  });
});

describe('a token that jose encrypts', SUITE, () => {
  const started = [];
  const signing = makeKey('ES256');
  const own = Object.fromEntries(ENCRYPTING.map((algorithm) => [algorithm, makeKey(algorithm)]));
  const others = Object.fromEntries(ENCRYPTING.map((algorithm) => [algorithm, makeKey(algorithm)]));
  const kinds = ENCRYPTING.flatMap((alg) => CIPHERS.map((enc) => ({ alg, enc })));
  let gateway;

  before(async () => {
    const acme = await startServer(provider([{ ...signing.publicJwk, kid: 'k1' }]));
    started.push(acme);
    const env = {};
    const all = {};
    const add = (name, source, jwt) => {
      const [text] = Object.values(rules(name, jwt, `[secrets]\nkey = { env = "${source}" }`));
      all[name.toLowerCase()] = text;
    };
    for (const algorithm of ENCRYPTING) {
      const { pem, jwk, key } = own[algorithm];
      const forms = {
        PEM: pem,
        JWK: JSON.stringify(jwk),
        OLD: key.export({ format: 'pem', type: algorithm === 'ECDH-ES' ? 'sec1' : 'pkcs1' }),
        OTHER: others[algorithm].pem,
      };
      for (const [form, text] of Object.entries(forms)) {
        const source = `${algorithm}_${form}`;
        env[source] = text;
        add(`${algorithm}-${form}`, source, 'decrypt = "${secrets.key}"');
        add(`${algorithm}-${form}-signed`, source, `decrypt = "\${secrets.key}", jwks = "${ISSUER}/jwks"`);
      }
      // Claims that say neither who says them nor to whom, which is usual where nothing is signed.
      all[`${algorithm}-bare`.toLowerCase()] = all[`${algorithm}-PEM`.toLowerCase()].replace(/, issuer = [^}]*/, ' ');
    }
    gateway = await startClaimsmith({
      rules: all,
      reroute: { [API]: acme.origin, [ISSUER]: acme.origin },
      env,
    });
    started.push(gateway);
  });
  after(() => stopAll(started));

  const encrypted = (header, payload = claims()) =>
    new EncryptJWT(payload).setProtectedHeader(header).encrypt(own[header.alg].publicKey);
  const nested = async (header, key = signing.key) => {
    const inner = await signed('ES256', key, claims(), { kid: 'k1' });
    return new CompactEncrypt(Buffer.from(inner))
      .setProtectedHeader({ cty: 'JWT', ...header })
      .encrypt(own[header.alg].publicKey);
  };

  async function assertRefused(name, token, reason, what = name) {
    const answer = await ask(gateway, name, token);
    const text = await answer.text();
    assert.equal(answer.status, 502, `${what}: ${text}`);
    const logged = await gateway.reason(JSON.parse(text).request_id);
    assert.equal(logged, `call user: the answer cannot be read: the JWT: ${reason}`, what);
  }
  const DECRYPTED = 'it cannot be decrypted with our key';
  const ALGORITHM = 'its algorithm is not accepted';

  for (const { alg, enc } of kinds) {
    test(`with ${alg} and ${enc} is read, whatever form our key has, signed inside or not`, async () => {
      const token = await encrypted({ alg, enc });
      const both = await nested({ alg, enc, kid: 'whatever' });
      for (const form of ['PEM', 'JWK', 'OLD']) {
        await assertReads(gateway, `${alg}-${form}`, token);
        await assertReads(gateway, `${alg}-${form}-signed`, both);
      }
      const bare = await encrypted({ alg, enc }, { sub: 'u1' });
      await assertReads(gateway, `${alg}-bare`, bare);
      await assertRefused(`${alg}-PEM`, bare, 'it is from another issuer');
    });

    test(`with ${alg} and ${enc} is refused with another key, or when a bit of it was changed`, async () => {
      const token = await nested({ alg, enc });
      await assertRefused(`${alg}-OTHER-signed`, token, DECRYPTED);
      const parts = token.split('.').map((part) => Buffer.from(part, 'base64url'));
      for (const [index, part] of parts.entries()) {
        for (const at of new Set([0, part.length >> 1, part.length - 1])) {
          if (part.length === 0) continue;
          const changed = parts.with(index, Buffer.from(part));
          changed[index][at] ^= 1;
          const answer = await ask(gateway, `${alg}-PEM-signed`, changed.map(base64url).join('.'));
          assert.equal(answer.status, 502, `part ${index}, byte ${at}`);
        }
      }
      // A tag of which a part is missing is one that can be guessed.
      for (const bytes of [0, 4, 8, 12, 15]) {
        const cut = parts.with(4, parts[4].subarray(0, bytes)).map(base64url).join('.');
        await assertRefused(`${alg}-PEM-signed`, cut, DECRYPTED, `a tag of ${bytes} bytes`);
      }
      const longer = parts.with(2, Buffer.concat([parts[2], Buffer.alloc(4)])).map(base64url).join('.');
      await assertRefused(`${alg}-PEM-signed`, longer, DECRYPTED, 'a nonce of 16 bytes');
    });

    test(`with ${alg} and ${enc} is nobody's word where a signature is wanted`, async () => {
      await assertRefused(`${alg}-PEM-signed`, await encrypted({ alg, enc }), 'it is not a JWT');
      await assertRefused(`${alg}-PEM-signed`, await nested({ alg, enc }, makeKey('ES256').key), 'its signature is wrong');
      const unsigned = new CompactEncrypt(Buffer.from(new UnsecuredJWT(claims()).encode()));
      const token = await unsigned.setProtectedHeader({ alg, enc }).encrypt(own[alg].publicKey);
      await assertRefused(`${alg}-PEM-signed`, token, ALGORITHM);
      // And a signed one is not what is read where only encryption is.
      await assertRefused(`${alg}-PEM`, await nested({ alg, enc }), 'it is not a JWT');
    });
  }

  test('for us is also what is signed and was not encrypted, where a signature is wanted', async () => {
    const token = await signed('ES256', signing.key, claims(), { kid: 'k1' });
    await assertReads(gateway, 'ECDH-ES-PEM-signed', token);
    await assertRefused('ECDH-ES-PEM', token, DECRYPTED);
  });

  test('in another way is refused', async () => {
    const to = (key, header, options = {}) =>
      new CompactEncrypt(Buffer.from(JSON.stringify(claims()))).setProtectedHeader(header).encrypt(key, options);
    const { publicKey: rsa } = own['RSA-OAEP-256'];
    const { publicKey: ec } = own['ECDH-ES'];
    for (const [name, token] of [
      ['RSA-OAEP-256', await to(rsa, { alg: 'RSA-OAEP', enc: 'A256GCM' })],
      ['RSA-OAEP-256', await to(rsa, { alg: 'RSA-OAEP-512', enc: 'A256GCM' })],
      ['RSA-OAEP-256', await to(rsa, { alg: 'RSA-OAEP-256', enc: 'A128CBC-HS256' })],
      ['RSA-OAEP-256', await to(ec, { alg: 'ECDH-ES', enc: 'A128GCM' })],
      ['ECDH-ES', await to(ec, { alg: 'ECDH-ES+A128KW', enc: 'A128GCM' })],
      ['ECDH-ES', await to(ec, { alg: 'ECDH-ES', enc: 'A192GCM' })],
      ['ECDH-ES', await to(rsa, { alg: 'RSA-OAEP-256', enc: 'A128GCM' })],
      ['ECDH-ES', await to(randomBytes(16), { alg: 'dir', enc: 'A128GCM' })],
      ['ECDH-ES', await to(randomBytes(16), { alg: 'A128KW', enc: 'A128GCM' })],
      ['ECDH-ES', await to(Buffer.from('guess'), { alg: 'PBES2-HS256+A128KW', enc: 'A128GCM', p2c: 1000 })],
    ]) {
      const header = Buffer.from(token.split('.')[0], 'base64url').toString();
      await assertRefused(`${name}-PEM`, token, ALGORITHM, header);
    }
  });

  test('with a header that it cannot have is refused', async () => {
    const good = await encrypted({ alg: 'ECDH-ES', enc: 'A128GCM' });
    const [first, ...rest] = good.split('.');
    const header = JSON.parse(Buffer.from(first, 'base64url'));
    const { epk } = header;
    const p384 = createPublicKey(makeKey('ES384').publicPem).export({ format: 'jwk' });
    for (const [more, reason] of [
      [{ zip: 'DEF' }, 'it uses an extension that is not understood'],
      [{ crit: ['x'] }, 'it uses an extension that is not understood'],
      [{ epk: undefined }, DECRYPTED],
      [{ epk: {} }, DECRYPTED],
      // Off the curve: with enough of these an attacker would learn our key.
      [{ epk: { ...epk, y: epk.x } }, DECRYPTED],
      [{ epk: { ...epk, x: base64url(Buffer.alloc(32)), y: base64url(Buffer.alloc(32)) } }, DECRYPTED],
      [{ epk: { ...epk, x: base64url(Buffer.alloc(0)), y: base64url(Buffer.alloc(0)) } }, DECRYPTED],
      [{ epk: p384 }, DECRYPTED],
      [{ epk: { ...epk, crv: 'P-384' } }, DECRYPTED],
      [{ epk: others['ECDH-ES'].publicJwk }, DECRYPTED],
      [{ apu: 'AAAA' }, DECRYPTED],
      [{ enc: 'A256GCM' }, DECRYPTED],
      [{ enc: undefined }, 'it is not a JWT'],
    ]) {
      const token = [base64url({ ...header, ...more }), ...rest].join('.');
      await assertRefused('ECDH-ES-PEM', token, reason, JSON.stringify(more));
    }
    await assertReads(gateway, 'ECDH-ES-PEM', good);
  });

  test('with the names of the parties is read: they are part of the key', async () => {
    const token = await new EncryptJWT(claims())
      .setProtectedHeader({ alg: 'ECDH-ES', enc: 'A256GCM' })
      .setKeyManagementParameters({ apu: Buffer.from('Alice'), apv: Buffer.from('Bob') })
      .encrypt(own['ECDH-ES'].publicKey);
    await assertReads(gateway, 'ECDH-ES-PEM', token);
  });
});
