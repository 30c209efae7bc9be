"""claimsmith behind a real proxy: HAProxy, which names its clients by the PROXY protocol, version 2, and by headers.

Needs a built program (CLAIMSMITH_BIN, or target/debug/claimsmith) and haproxy. All traffic stays on 127.0.0.0/8,
where every address is this machine, so that clients have addresses of their own. Nothing is skipped.
"""

import http.client
import http.server
import json
import os
import pathlib
import socket
import subprocess
import tempfile
import threading
import time

LIMIT = 30
RULE = '[call.user]\nurl = "https://api.example/me"\n[claims]\nsub = "$.user.id"\n'
SETTINGS = """
listen = "127.0.0.1:{port}"
rules = "rules"
admin.listen = "off"
log = {{ format = "json", client = true }}
head_timeout = "2s"
[access]
networks = ["127.0.0.2", "127.0.0.4/31"]
client_rate = "20/h"
trusted_proxies = ["127.0.0.1"]
{how}
[upstream.reroute]
"https://api.example" = "http://127.0.0.1:{provider}"
"""
HAPROXY = """
defaults
    timeout connect 5s
    timeout client 10s
    timeout server 10s
frontend as_bytes
    mode tcp
    bind 127.0.0.1:{tcp}
    default_backend protocol
backend protocol
    mode tcp
    server gateway 127.0.0.1:{protocol} send-proxy-v2 check check-send-proxy inter 200ms
frontend as_http
    mode http
    bind 127.0.0.1:{http}
    option forwardfor
    default_backend headers
backend headers
    mode http
    server gateway 127.0.0.1:{headers}
frontend as_forwarded
    mode http
    bind 127.0.0.1:{forwarded}
    http-request add-header forwarded for=%[src];by=127.0.0.1;proto=http
    default_backend rfc7239
backend rfc7239
    mode http
    server gateway 127.0.0.1:{rfc7239}
frontend state
    mode http
    bind 127.0.0.1:{state}
    stats enable
    stats uri /
"""


class Provider(http.server.BaseHTTPRequestHandler):
    """Says who a token is."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = b'{"id":1}'
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def free_ports(number):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def until(what, is_so):
    end = time.monotonic() + LIMIT
    while not is_so():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def ask(port, client, headers=None, path="/acme", connection=None):
    """The status and body of an answer, for a client at an address of its own."""
    kept = connection or http.client.HTTPConnection("127.0.0.1", port, LIMIT, source_address=(client, 0))
    kept.request("GET", path, headers={"authorization": "Bearer t0ken", **(headers or {})})
    answer = kept.getresponse()
    body = answer.read().decode()
    if connection is None:
        kept.close()
    return answer.status, body


def same(what, found, expected):
    assert found == expected, f"{what}: {found} and not {expected}"
    print(f"ok: {what}")


def main():
    root = pathlib.Path(__file__).resolve().parents[2]
    program = pathlib.Path(os.environ.get("CLAIMSMITH_BIN", root / "target/debug/claimsmith")).resolve()
    provider = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    threading.Thread(target=provider.serve_forever, daemon=True).start()
    names = ["tcp", "http", "forwarded", "state", "protocol", "headers", "rfc7239"]
    ports = dict(zip(names, free_ports(len(names))))
    hows = {
        "protocol": "proxy_protocol = true",
        "headers": 'client_header = "x-forwarded-for"',
        "rfc7239": 'client_header = "forwarded"',
    }
    started, logs = [], {}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "rules").mkdir()
        (folder / "rules/acme.toml").write_text(RULE)
        (folder / "haproxy.cfg").write_text(HAPROXY.format(**ports))
        try:
            for name, how in hows.items():
                settings = folder / f"{name}.toml"
                provided = provider.server_address[1]
                settings.write_text(SETTINGS.format(port=ports[name], how=how, provider=provided))
                logs[name] = folder / f"{name}.log"
                command = [program, "serve", "--config", settings, "--workers", "1"]
                with logs[name].open("w") as log:
                    started.append(subprocess.Popen(command, cwd=folder, stderr=log, env={}))
                until(f"{name} listens", lambda log=logs[name]: '"listening"' in log.read_text())
            started.append(subprocess.Popen(["haproxy", "-f", folder / "haproxy.cfg"], cwd=folder))
            until("haproxy listens", lambda: all(listens(ports[name]) for name in names))
            run(ports)
            for name in hows:
                clients = {json.loads(line).get("client") for line in logs[name].read_text().splitlines()} - {None}
                same(f"{name}: the log has the clients", clients >= {"127.0.0.2", "127.0.0.3"}, True)
                same(f"{name}: and nobody who was made up", "127.0.0.9" in clients, False)
        finally:
            for process in started:
                process.terminate()
            for process in started:
                process.wait(LIMIT)
    print("all of it")


def run(ports):
    for port, header in [("tcp", None), ("http", "x-forwarded-for"), ("forwarded", "forwarded")]:
        port, name = ports[port], port
        same(f"{name}: a client that may ask", ask(port, "127.0.0.2"), (200, '{"sub":"1"}'))
        same(f"{name}: one that may not", ask(port, "127.0.0.3"), (404, ""))
        kept = http.client.HTTPConnection("127.0.0.1", port, LIMIT, source_address=("127.0.0.2", 0))
        statuses = [ask(port, None, connection=kept)[0] for _ in range(5)]
        same(f"{name}: a connection that is kept", statuses, [200] * 5)
        kept.close()
        for forged in ["127.0.0.2", "127.0.0.2, 127.0.0.1", '127.0.0.2;x="', '"127.0.0.2', "127.0.0.9"]:
            headers = {"x-forwarded-for": forged, "forwarded": f"for={forged}"}
            same(f"{name}: what it says of itself is no matter: {forged}", ask(port, "127.0.0.3", headers)[0], 404)
            headers = {header: headers[header]} if header else headers
            same(f"{name}: nor of others", ask(port, "127.0.0.4", headers)[0], 200)
        statuses = [ask(port, "127.0.0.5", {"x-forwarded-for": f"127.0.0.{n}"})[0] for n in range(30)]
        same(f"{name}: one client has one bucket", statuses, [200] * 20 + [429] * 10)
        same(f"{name}: and another its own", ask(port, "127.0.0.2")[0], 200)
    # Past the proxy nobody says who they are.
    direct = ports["protocol"]
    try:
        same("an address that is no proxy", ask(direct, "127.0.0.2")[0], 200)
        found = ask(direct, "127.0.0.1")
    except (http.client.HTTPException, OSError):
        found = None
    same("a trusted address that does not speak the protocol", found, None)
    # Its health checks say that they are its own (`LOCAL`), and are answered.
    def state():
        connection = http.client.HTTPConnection("127.0.0.1", ports["state"], LIMIT)
        connection.request("GET", "/;csv")
        rows = connection.getresponse().read().decode().splitlines()
        columns = rows[0].lstrip("# ").split(",")
        found = [dict(zip(columns, row.split(","))) for row in rows[1:]]
        (gateway,) = [row for row in found if (row["pxname"], row["svname"]) == ("protocol", "gateway")]
        return gateway
    until("it was checked", lambda: state()["check_status"] not in ("", "INI"))
    same("its health checks pass", (state()["status"], state()["chkfail"]), ("UP", "0"))


if __name__ == "__main__":
    main()
