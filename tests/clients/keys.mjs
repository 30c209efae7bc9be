// Key pairs, by the name of the algorithm that they are for.

import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';

function kind(algorithm) {
  if (/^(RS|PS)\d/.test(algorithm) || algorithm.startsWith('RSA-')) return ['rsa', { modulusLength: 2048 }];
  switch (algorithm) {
    case 'ES256':
    case 'ECDH-ES':
      return ['ec', { namedCurve: 'P-256' }];
    case 'ES384':
      return ['ec', { namedCurve: 'P-384' }];
    case 'ES512':
      return ['ec', { namedCurve: 'P-521' }];
    case 'EdDSA':
    case 'Ed25519':
      return ['ed25519', {}];
    default:
      throw new Error(`no kind of key is known for ${algorithm}`);
  }
}

/**
 * A new key for an algorithm: `pem` and `jwk` are private, `publicPem` and `publicJwk`
 * are not, `key` and `publicKey` are what Node.js and jose take. `options` replaces
 * what the key is made with.
 */
export function makeKey(algorithm, options) {
  // By way of PEM, as Node.js 20 can deadlock when a key it has just generated is
  // exported as a JWK and the garbage collector comes by.
  const [type, usual] = kind(algorithm);
  const { privateKey: pem, publicKey: publicPem } = generateKeyPairSync(type, {
    ...(options ?? usual),
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
  const key = createPrivateKey(pem);
  const publicKey = createPublicKey(publicPem);
  return {
    pem,
    publicPem,
    key,
    publicKey,
    jwk: key.export({ format: 'jwk' }),
    publicJwk: publicKey.export({ format: 'jwk' }),
  };
}
