"""What the program sends to a collector, read by others: once by the schema of OpenTelemetry as its Python package has
it, and once by a collector (Rotel) that hands it on.

    check.py PROGRAM

Everything stays on the loopback interface. It ends with the number of checks that passed, or at the first that does not.
"""

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from google.protobuf.unknown_fields import UnknownFieldSet
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

LIMIT = 60
REQUESTS = 20
TOKEN = "T0ken-Mark.91c2"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
MARKS = [TOKEN, "u-77", "em4il", "priv.example"]

RULE = """
[call.user]
url = "https://api.example/users/me?key=${token}"

[call.more]
url = "https://api.example/gone/${user.id}"
optional = true

[[require]]
that = "user.email != ()"
error = "access_denied"

[claims]
sub = "$.user.id"
email = "$.user.email"
"""

passed = 0


def check(holds, what):
    global passed
    if not holds:
        sys.exit(f"not so: {what}")
    passed += 1


def serve(handler):
    """A server on a free port, in a thread that ends with the process."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_port}"


class Provider(BaseHTTPRequestHandler):
    def do_GET(self):
        found = self.path.startswith("/users/")
        body = json.dumps({"id": "u-77", "email": "em4il@priv.example"} if found else {}).encode()
        self.send_response(200 if found else 404)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def sink():
    """Something that takes OTLP, and keeps what it read and what it could not read."""
    got = {"/v1/traces": [], "/v1/metrics": [], "faults": [], "bodies": []}
    kinds = {
        "/v1/traces": trace_service_pb2.ExportTraceServiceRequest,
        "/v1/metrics": metrics_service_pb2.ExportMetricsServiceRequest,
    }

    class Sink(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            got["bodies"].append(body)
            if self.headers["content-encoding"] == "gzip":
                import gzip

                body = gzip.decompress(body)
            try:
                message = kinds[self.path].FromString(body)
                unknown(message, self.path)
                got[self.path].append(message)
            except Exception as fault:
                got["faults"].append(f"{self.path}: {fault!r}")
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    return *serve(Sink), got


def unknown(message, at):
    """Fields that the schema does not have would be dropped in silence."""
    if len(UnknownFieldSet(message)):
        raise ValueError(f"{at} has a field that the schema does not know")
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if field.is_repeated else [value]:
                unknown(part, f"{at}.{field.name}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(what, holds):
    end = time.monotonic() + LIMIT
    while not holds():
        if time.monotonic() > end:
            sys.exit(f"it does not come: {what}")
        time.sleep(0.05)


def drive(program, endpoint):
    """Serves, asks, and stops; what is left is sent then."""
    _, provider = serve(Provider)
    with tempfile.TemporaryDirectory() as folder:
        rules = Path(folder, "rules")
        rules.mkdir()
        Path(rules, "acme.toml").write_text(RULE)
        Path(folder, "claimsmith.toml").write_text(
            f'listen = "127.0.0.1:0"\n[admin]\nlisten = "off"\n[log]\nformat = "json"\n'
            f'[upstream.reroute]\n"https://api.example" = "{provider}"\n'
            f'[otlp]\nendpoint = "{endpoint}"\ninterval = "1s"\nservice = "userinfo"\n'
            f'attributes = {{ "deployment.environment.name" = "test" }}\n'
        )
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("CLAIMSMITH_", "OTEL_"))}
        process = subprocess.Popen([program, "serve"], cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)
        try:
            for line in process.stderr:
                if "listening" in line:
                    address = json.loads(line)["address"]
                    break
            else:
                sys.exit("the program does not listen")
            rest = []
            reader = threading.Thread(target=lambda: rest.extend(process.stderr), daemon=True)
            reader.start()
            for number in range(REQUESTS):
                headers = {"authorization": f"Bearer {TOKEN}"}
                if number % 2 == 0:
                    headers["traceparent"] = f"00-{TRACE}-{PARENT}-01"
                request = urllib.request.Request(f"http://{address}/acme", headers=headers)
                with urllib.request.urlopen(request, timeout=LIMIT) as answer:
                    check(json.load(answer)["sub"] == "u-77", "the answer is right")
            process.send_signal(signal.SIGTERM)
            check(process.wait(LIMIT) == 0, "the program ends well")
            reader.join(LIMIT)
            complaints = [line for line in rest if "collector" in line]
            check(not complaints, f"nobody complains: {complaints}")
        finally:
            process.kill()


def attributes(pairs):
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


def look(got):
    """What was read is what was sent."""
    check(not got["faults"], f"all of it can be read: {got['faults']}")
    for body in got["bodies"]:
        check(not any(mark.encode() in body for mark in MARKS), "no token, no claim, no id is in it")
    resources = [resource for message in got["/v1/traces"] for resource in message.resource_spans]
    for resource in resources:
        told = attributes(resource.resource.attributes)
        check(told["service.name"] == "userinfo", "the service has its name")
        check(told["deployment.environment.name"] == "test", "and its attributes")
        check(len(told["service.instance.id"]) == 36, "and what tells it from others")
    spans = [span for resource in resources for scope in resource.scope_spans for span in scope.spans]
    by_id = {span.span_id: span for span in spans}
    check(len(by_id) == len(spans), "no id comes twice")
    roots = [span for span in spans if span.kind == Span.SPAN_KIND_SERVER]
    check(len(roots) == REQUESTS, f"one span a request: {len(roots)}")
    called = [span for span in roots if span.parent_span_id]
    check(len(called) == REQUESTS // 2, "those with a parent have it")
    for root in called:
        check(root.trace_id.hex() == TRACE and root.parent_span_id.hex() == PARENT, "and it is the caller's")
    check(len({root.trace_id for root in roots}) == REQUESTS // 2 + 1, "the others have traces of their own")
    for root in roots:
        told = attributes(root.attributes)
        check(root.name == "GET /acme" and told["http.route"] == "/acme", "it has the name of its rule")
        check(told["http.request.method"] == "GET" and told["http.response.status_code"] == 200, "and its status")
        below = [span for span in spans if span.parent_span_id == root.span_id]
        names = sorted(span.name for span in below)
        check(names == ["call more", "call user", "map", "receive", "require", "respond"], f"its parts: {names}")
        for span in below:
            check(span.trace_id == root.trace_id, "of the same trace")
            within = (root.start_time_unix_nano, span.start_time_unix_nano, span.end_time_unix_nano)
            check(sorted(within) == list(within) and within[2] <= root.end_time_unix_nano, "and time")
        more = next(span for span in below if span.name == "call more")
        check(more.kind == Span.SPAN_KIND_CLIENT and more.status.code == Status.STATUS_CODE_ERROR, "a call that failed")
        told = attributes(more.attributes)
        check(told["server.address"] == "api.example" and told["http.response.status_code"] == 404, "and where, and how")
    decoded = [by_id[span.parent_span_id].name for span in spans if span.name.startswith("decode ")]
    check(set(decoded) <= {"call user", "call more"} and len(decoded) >= REQUESTS, "an answer is read within its call")
    metrics = {}
    for message in got["/v1/metrics"]:
        for resource in message.resource_metrics:
            for scope in resource.scope_metrics:
                metrics.update({metric.name: metric for metric in scope.metrics})
    requests = metrics["claimsmith_requests"].sum
    check(requests.is_monotonic and requests.aggregation_temporality == 2, "requests are a cumulative sum")
    check([point.as_int for point in requests.data_points] == [REQUESTS], "of all requests")
    check(attributes(requests.data_points[0].attributes) == {"rule": "acme", "status": "200"}, "by rule and status")
    duration = metrics["claimsmith_request_duration_seconds"]
    points = [point for point in duration.histogram.data_points if attributes(point.attributes)["rule"] == "acme"]
    check(duration.unit == "s" and [point.count for point in points] == [REQUESTS], "durations are a histogram")
    check(len(points[0].bucket_counts) == len(points[0].explicit_bounds) + 1, "with a bucket more than bounds")
    check(sum(points[0].bucket_counts) == REQUESTS, "that hold them all")


def by_the_schema(program):
    _, endpoint, got = sink()
    drive(program, endpoint)
    look(got)


def by_a_collector(program):
    _, behind, got = sink()
    http, grpc = free_port(), free_port()
    agent = Path(importlib.util.find_spec("rotel").origin).parent / "rotel-agent"
    with tempfile.TemporaryDirectory() as folder:
        command = [agent, "start", "--otlp-http-endpoint", f"127.0.0.1:{http}", "--otlp-grpc-endpoint", f"127.0.0.1:{grpc}"]
        command += ["--exporter", "otlp", "--otlp-exporter-protocol", "http", "--otlp-exporter-endpoint", behind]
        command += ["--pid-file", f"{folder}/pid", "--log-file", f"{folder}/log"]
        collector = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            until("the collector listens", lambda: reaches(http))
            drive(program, f"http://127.0.0.1:{http}")
            # It hands on what it gathered when it ends.
            collector.send_signal(signal.SIGTERM)
            collector.wait(LIMIT)
        finally:
            collector.kill()
    look(got)


def reaches(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    program = os.path.abspath(sys.argv[1])
    by_the_schema(program)
    by_a_collector(program)
    print(f"{passed} passed, 0 failed")
