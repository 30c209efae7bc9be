// The Worker: the rules of the bundle, its bindings, and the platform's `fetch`.
import { Core, respond } from "./core.mjs";
import rules from "./rules.json";

const bundle = JSON.stringify(rules);

export default {
  fetch: (request, bindings) => respond(request, () => new Core(bundle, bindings, (url, init) => fetch(url, init))),
};
