// All that the page asks of the outside, as one object. This one speaks to the server of `claimsmith play`; `wasm.js`
// has the same questions answered in the page.

/** A number that JavaScript would round: its digits as they were sent. */
export class Exact {
  constructor(digits) {
    this.digits = digits;
  }
  toString() {
    return this.digits;
  }
}

/** JSON in which no number is rounded, where the browser lets a number's digits be seen. */
export function parse(text) {
  return JSON.parse(text, (_, value, context) =>
    typeof value === "number" && context?.source && String(value) !== context.source ? new Exact(context.source) : value,
  );
}

/** A value as JSON text, with all digits. */
export function shown(value, indent = "") {
  if (value instanceof Exact) return value.digits;
  if (Array.isArray(value)) return `[${value.map((item) => shown(item)).join(", ")}]`;
  if (value && typeof value === "object") {
    return `{${Object.entries(value).map(([name, item]) => `${JSON.stringify(name)}: ${shown(item)}`).join(", ")}}`;
  }
  return JSON.stringify(value) + indent;
}

const STORED = "claimsmith.session";

/** The API of the server that the page came from. */
export function overHttp() {
  let key = null;

  async function post(question, body, bearer = key) {
    const response = await fetch(`api/${question}`, {
      method: "POST",
      headers: { "content-type": "application/json", ...(bearer ? { authorization: `Bearer ${bearer}` } : {}) },
      body: JSON.stringify(body ?? {}),
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
    });
    const answer = parse(await response.text());
    if (response.ok) return answer;
    throw Object.assign(new Error(answer.error ?? "the server does not answer as it should"), { status: response.status });
  }

  return {
    server: true,
    /** Begins a session; `ask` is asked for a key where the address has none. */
    async start(ask) {
      const given = location.hash.slice(1);
      if (given) history.replaceState(null, "", location.pathname);
      const stored = sessionStorage.getItem(STORED);
      if (!given && stored) {
        key = stored;
        try {
          await post("rules");
          return JSON.parse(sessionStorage.getItem(`${STORED}.info`)) ?? {};
        } catch {
          sessionStorage.removeItem(STORED);
          key = null;
        }
      }
      let words = null;
      for (let next = given; ; next = null) {
        const wanted = next || (await ask(words));
        try {
          const info = await post("session", {}, wanted);
          // Kept for this tab, so that it can be loaded again. A key of another door is kept in memory alone.
          key = info.key ?? wanted;
          if (info.key) {
            sessionStorage.setItem(STORED, info.key);
            sessionStorage.setItem(`${STORED}.info`, JSON.stringify({ ...info, key: undefined }));
          }
          return info;
        } catch (error) {
          words = error.message;
        }
      }
    },
    rules: () => post("rules"),
    open: (name) => post("open", { name }),
    save: (saved) => post("save", saved),
    live: (attempt) => post("live", attempt),
    ask: (question, texts) => post(question, texts),
  };
}
