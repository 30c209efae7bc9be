// The Worker, which falls within the core if a request asks for it: the clock that it looks at ends in a trap.
import worker from "./worker.mjs";

const now = Date.now;

function stumble() {
  Date.now = now;
  throw new WebAssembly.RuntimeError("unreachable");
}

export default {
  fetch(request, bindings) {
    if (request.headers.has("x-stumble")) Date.now = stumble;
    return worker.fetch(request, bindings);
  },
};
