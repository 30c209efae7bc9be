// The Worker for one case after another: rule, secrets, vars and time come from the stage, and what it asks of providers
// goes there. All else is the Worker as it is shipped.
import { Core, reply } from "./core.mjs";

export default {
  async fetch(request, { STAGE }) {
    const headers = new Headers(request.headers);
    const number = headers.get("x-case");
    headers.delete("x-case");
    const { bundle, bindings, settings, now } = await (await fetch(`${STAGE}/case/${number}`)).json();
    // One case is played at a time.
    Date.now = () => now * 1000;
    const ask = (url, init) => fetch(`${STAGE}/of/${number}/${encodeURIComponent(url)}`, init);
    const core = new Core(JSON.stringify(bundle), { ...bindings, CLAIMSMITH: settings }, ask);
    return reply(request, await core.respond(new Request(request, { headers })));
  },
};
