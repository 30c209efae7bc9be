// The same questions, answered in the page itself: the core as WebAssembly. Nothing is sent anywhere.
import init, { Engine } from "../wasm/bound/claimsmith.js";
import { parse } from "./api.js";

/** An API without a server. */
export async function inPage(address) {
  await init({ module_or_path: fetch(address) });
  let engine = new Engine();

  function told(work) {
    let text;
    try {
      text = work(engine);
    } catch {
      // After a trap nothing in it is to be relied on.
      engine = new Engine();
      throw new Error("a fault of the program; the next question is heard");
    }
    const { answer, error } = parse(text);
    if (error) throw new Error(error);
    return answer;
  }

  return {
    server: false,
    start: async () => ({ write: false, live: false, open: `catalogue:${location.hash.slice(1) || "github"}` }),
    rules: async () => ({ folder: "yours", rules: [], catalogue: JSON.parse(engine.names()) }),
    open: async (name) => told((engine) => engine.open(name)),
    ask: async (question, texts) => told((engine) => engine.ask(question, JSON.stringify(texts))),
  };
}
