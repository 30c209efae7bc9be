// As much of a browser as a login needs: it keeps cookies and follows redirects.

import assert from 'node:assert/strict';
import { STEP_TIMEOUT } from './support.mjs';

// A login takes about seven hops; a loop takes more.
const HOPS = 15;

/** Follows redirects from `start` until one leads to `destination`, and returns that URL. */
export async function followTo(destination, start) {
  const cookies = new Map();
  let url = new URL(start);
  for (let hop = 0; hop < HOPS; hop += 1) {
    const response = await fetch(url, {
      redirect: 'manual',
      headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
      signal: AbortSignal.timeout(STEP_TIMEOUT),
    });
    for (const cookie of response.headers.getSetCookie()) {
      // Paths are left aside: one cookie of a name is all that is ever in use here.
      const [, name, value] = cookie.match(/^([^=]+)=([^;]*)/);
      if (value === '') cookies.delete(name);
      else cookies.set(name, value);
    }
    const location = response.headers.get('location');
    assert.ok(location, `${url} answered ${response.status} instead of redirecting: ${await response.text()}`);
    url = new URL(location, url);
    if (url.href.startsWith(destination)) return url;
  }
  return assert.fail(`no redirect to ${destination} in ${HOPS} hops, the last to ${url}`);
}
