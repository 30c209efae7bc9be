#!/usr/bin/env python3
"""Has a gateway answer some thousand requests, for a build that counts what it runs.

    deploy/train.py PROGRAM

Nothing but Python's own library. The upstream and the caller are both here; the gateway serves the rules of
`benches/`, one with paths, one with a script and one that keeps its answers, with its default settings.
"""

import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOME = pathlib.Path(__file__).resolve().parent.parent
# One answer of about 1 KB: members that the rules read, and more that they do not.
USER = json.dumps(
    {
        "uuid": "3f0c9a52-7d0e-4f5c-9f53-0d5a1c6f7b11",
        "avatar": "https://img.acme.example/u/583231.png",
        "name": "Ada Example",
        "username": "ada",
        "id": {"slug": "ada-example", "number": 9007199254740993},
        "bio": "Makes analytical engines. " * 12,
        "teams": [{"name": f"team {number}", "role": "member", "active": True} for number in range(8)],
        "settings": {"locale": "en-GB", "theme": None, "beta": False, "score": 0.75},
    }
).encode()
REQUESTS = 3000
# With a cache most of them find an answer.
TOKENS = 500
CALLERS = 4


class Upstream(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(USER)))
        self.end_headers()
        self.wfile.write(USER)

    def log_message(self, *_):
        pass


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def connect(port):
    """A connection to the gateway, which may need a moment to start."""
    for _ in range(100):
        try:
            caller = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            caller.connect()
            caller.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return caller
        except ConnectionRefusedError:
            time.sleep(0.1)
    raise TimeoutError("nobody listens")


def ask(port, done):
    caller = connect(port)
    for number in range(REQUESTS):
        caller.request("GET", "/userinfo", headers={"Authorization": f"Bearer token-{number % TOKENS}"})
        answer = caller.getresponse()
        claims = answer.read()
        if answer.status != 200 or b'"slug":"ada-example"' not in claims:
            raise ValueError(f"{answer.status} {claims}")
    done.append(port)


def train(program, rules, upstream):
    port = free_port()
    environment = {
        **os.environ,
        "API_KEY": "k3y",
        "CLAIMSMITH_RULE__USERINFO__VARS__API": upstream,
        "CLAIMSMITH_UPSTREAM__ALLOW": upstream,
        "CLAIMSMITH_ADMIN__LISTEN": "off",
    }
    with tempfile.TemporaryFile() as log:
        command = [program, "serve", "--listen", f"127.0.0.1:{port}", "--rules", str(HOME / "benches" / rules)]
        gateway = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            done = []
            callers = [threading.Thread(target=ask, args=(port, done), daemon=True) for _ in range(CALLERS)]
            for caller in callers:
                caller.start()
            for caller in callers:
                caller.join(300)
        finally:
            # What was counted is written when the program ends by itself.
            gateway.send_signal(signal.SIGTERM)
            code = gateway.wait(30)
    if len(done) != CALLERS or code != 0:
        sys.exit(f"the gateway does not answer as it should: {len(done)} of {CALLERS} callers done, exit code {code}")


def main():
    program = sys.argv[1]
    server = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    upstream = f"http://127.0.0.1:{server.server_port}"
    for rules in ("declarative", "script", "cached"):
        train(program, rules, upstream)


main()
