# The benchmark fills in the words in double braces.
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "main", worker = .worker),
    (name = "internet", network = (allow = ["private", "public"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:{{port}}", http = (), service = "main")],
);

const worker :Workerd.Worker = (
  modules = [
    (name = "worker.mjs", esModule = embed "{{work}}/edge/worker.mjs"),
    (name = "core.mjs", esModule = embed "{{work}}/edge/core.mjs"),
    (name = "claimsmith.js", esModule = embed "{{work}}/edge/claimsmith.js"),
    (name = "claimsmith.wasm", wasm = embed "{{work}}/edge/claimsmith.wasm"),
    (name = "rules.json", json = embed "{{work}}/edge/rules.json"),
  ],
  compatibilityDate = "2026-01-01",
  bindings = [
    (name = "API_KEY", text = "{{api_key}}"),
    (name = "CLAIMSMITH", json = "{\"upstream\": {\"reroute\": {\"https://upstream.example\": \"{{upstream}}\"}}, \"log\": {\"level\": \"LEVEL\"}}"),
  ],
);
