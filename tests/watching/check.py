"""Publishes with metrics, a collector and notifications, and asks the real programs what arrived.

promtool checks the metrics and the alert rules of the guide, the node exporter serves the file, Prometheus scrapes the node exporter and
evaluates the rules, and a collector of OpenTelemetry (rotel) takes metrics and traces and sends on what it understood.
"""

import gzip
import http.server
import importlib.util
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

import yaml
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

INSTALLED, SEGMILL = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
PROJECT = pathlib.Path(__file__).resolve().parents[2]
DEBIAN = INSTALLED / "debian" / "usr" / "bin"
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
WITHIN_SECONDS = 60


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def until(what, ask):
    """Asks until there is an answer."""
    end = time.monotonic() + WITHIN_SECONDS
    while True:
        try:
            if answer := ask():
                return answer
        except OSError:
            pass
        assert time.monotonic() < end, f"there is no answer: {what}"
        time.sleep(0.1)


def get(url):
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read().decode()


def collector():
    """The program that the wheel ships."""
    agent = pathlib.Path(importlib.util.find_spec("rotel").origin).parent / "rotel-agent"
    agent.chmod(0o755)
    return agent


def recorder(kept):
    """A server that keeps what it gets, by path."""

    class Recorder(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            kept.append((self.path, gzip.decompress(body) if self.headers["content-encoding"] == "gzip" else body))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


class Started:
    """Programs that end with the check."""

    def __init__(self, folder):
        self.folder, self.running = folder, []

    def start(self, name, *command):
        log = open(self.folder / f"{name}.log", "w", encoding="utf-8")
        self.running.append(subprocess.Popen([str(part) for part in command], stdout=log, stderr=log, cwd=self.folder))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.running:
            process.terminate()
        for process in self.running:
            process.wait()


def run(folder, *more, **environment):
    command = [SEGMILL, "run", "--as-of", "2011-12-10", "--destination", folder / "out", "--metrics", folder / "textfile" / "segmill.prom", *more]
    environment = {**os.environ, **environment}
    return subprocess.run([str(part) for part in command], cwd=PROJECT, env=environment, capture_output=True, text=True)


def check_promtool(folder):
    with open(folder / "textfile" / "segmill.prom", encoding="utf-8") as metrics:
        checked = subprocess.run([DEBIAN / "promtool", "check", "metrics"], stdin=metrics, capture_output=True, text=True)
    assert checked.returncode == 0 and not checked.stdout + checked.stderr, checked
    guide = (PROJECT / "docs/guides/watching.md").read_text(encoding="utf-8")
    (rules,) = re.findall(r"```yaml\n(groups:\n.*?)```", guide, re.S)
    (folder / "rules.yaml").write_text(rules, encoding="utf-8")
    checked = subprocess.run([DEBIAN / "promtool", "check", "rules", folder / "rules.yaml"], capture_output=True, text=True)
    assert checked.returncode == 0 and "SUCCESS" in checked.stdout, checked
    print(f"promtool: the metrics are clean, {checked.stdout.strip().splitlines()[-1].strip()}")
    return [rule["alert"] for rule in yaml.safe_load(rules)["groups"][0]["rules"]]


def check_prometheus(folder, started, alerts):
    exporter, prometheus = free_port(), free_port()
    started.start(
        "exporter", DEBIAN / "prometheus-node-exporter", "--collector.disable-defaults", "--collector.textfile",
        f"--collector.textfile.directory={folder / 'textfile'}", f"--web.listen-address=127.0.0.1:{exporter}",
    )
    served = until("the node exporter", lambda: get(f"http://127.0.0.1:{exporter}/metrics"))
    assert "node_textfile_scrape_error 0" in served, served
    # As it was when the job last ran with success; `for` would let an alert wait for an hour.
    rules = (folder / "rules.yaml").read_text(encoding="utf-8").replace("for: 1h", "for: 0s")
    (folder / "rules.yaml").write_text(rules, encoding="utf-8")
    settings = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [{"job_name": "node", "static_configs": [{"targets": [f"127.0.0.1:{exporter}"]}]}],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    started.start(
        "prometheus", DEBIAN / "prometheus", f"--config.file={folder / 'prometheus.yaml'}", f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{prometheus}",
    )
    base = f"http://127.0.0.1:{prometheus}/api/v1"

    def value(expression):
        answer = json.loads(get(f"{base}/query?" + urllib.parse.urlencode({"query": expression})))
        return [float(found["value"][1]) for found in answer["data"]["result"]]

    def firing():
        return {alert["labels"]["alertname"] for alert in json.loads(get(f"{base}/alerts"))["data"]["alerts"] if alert["state"] == "firing"}

    (customers,) = until("the customers in Prometheus", lambda: value("segmill_publication_customers"))
    shown = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert customers == shown["customers"], (customers, shown["customers"])
    sizes = sum(size["customers"] for size in shown["segments"])
    assert value("sum(segmill_publication_segment_customers)") == [sizes]
    rows = sum(source["rows_read"] for source in shown["sources"])
    assert value("sum(segmill_run_source_rows)") == [rows]
    assert value("count(segmill_run_step_duration_seconds)") == [len({step["name"] for step in shown["steps"]})]
    # The sample is of 2011, so its sources are stale, and nothing else is wrong.
    # Rules that are evaluated before the first scrape find no metrics for a moment.
    until("the alert of stale sources, and no other", lambda: firing() == {"SegmillSourceStale"})
    success = value("segmill_run_last_success_timestamp_seconds")

    # A run that is refused: the last success and what is published stay.
    refused = run(folder, "--param", "rfm_window_days=nonsense")
    assert refused.returncode == 2, refused
    until("the failed run in Prometheus", lambda: value("segmill_run_exit_code") == [2.0])
    until("the alert of a failed run", lambda: "SegmillFailed" in firing())
    assert value("segmill_run_last_success_timestamp_seconds") == success
    assert value("segmill_publication_customers") == [customers]
    assert firing() <= set(alerts)
    print(f"Prometheus: {customers:.0f} customers, {sizes} memberships and {rows} rows by way of the node exporter; the alerts fire")


def check_collector(folder, started):
    """Segmill sends to the collector, which sends what it understood to a server that reads it with the classes of the standard."""
    got, port = [], free_port()
    started.start(
        "collector", collector(), "start", "--otlp-http-endpoint", f"127.0.0.1:{port}", "--otlp-grpc-endpoint", f"127.0.0.1:{free_port()}",
        "--exporter", "otlp", "--otlp-exporter-endpoint", f"http://127.0.0.1:{recorder(got)}", "--otlp-exporter-protocol", "http",
        "--pid-file", folder / "collector.pid",
    )
    until("the collector", lambda: socket.create_connection(("127.0.0.1", port)).close() is None)
    published = run(
        folder, "--force", "--format", "json",
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}", OTEL_SERVICE_NAME="nightly", OTEL_RESOURCE_ATTRIBUTES="team=shop",
        TRACEPARENT=f"00-{TRACE}-{SPAN}-01", TRACESTATE="vendor=1",
    )
    assert published.returncode == 0 and "warning" not in published.stderr, published
    (folder / "summary.json").write_text(published.stdout, encoding="utf-8")
    shown = json.loads(published.stdout)

    def sent(path, request):
        body = until(path, lambda: next((body for at, body in got if at == path), None))
        request.ParseFromString(body)
        return request

    (traces,) = sent("/v1/traces", ExportTraceServiceRequest()).resource_spans
    resource = {attribute.key: attribute.value.string_value for attribute in traces.resource.attributes}
    assert resource["service.name"] == "nightly" and resource["team"] == "shop", resource
    root, *steps = traces.scope_spans[0].spans
    assert (root.trace_id.hex(), root.parent_span_id.hex(), root.trace_state) == (TRACE, SPAN, "vendor=1"), root
    assert (root.name, root.status.code) == ("segmill run", 1), root
    assert [step.name for step in steps] == [step["name"] for step in shown["steps"]]
    assert all(step.parent_span_id == root.span_id and step.trace_id == root.trace_id for step in steps)
    assert all(root.start_time_unix_nano <= step.start_time_unix_nano <= step.end_time_unix_nano <= root.end_time_unix_nano for step in steps)

    (metrics,) = sent("/v1/metrics", ExportMetricsServiceRequest()).resource_metrics
    metrics = metrics.scope_metrics[0].metrics
    # As collectors make names of Prometheus: https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/
    name = lambda metric: metric.name.replace(".", "_") + {"s": "_seconds", "By": "_bytes", "": ""}[metric.unit]
    label = lambda point: frozenset((attribute.key, attribute.value.string_value) for attribute in point.attributes)
    by_collector = {(name(metric), label(point)): point.as_double for metric in metrics for point in metric.gauge.data_points}
    by_file = {}
    for line in (folder / "textfile" / "segmill.prom").read_text(encoding="utf-8").splitlines():
        if found := re.fullmatch(r"(\w+)\{(.*)\} (\S+)", line):
            by_file[found[1], frozenset(re.findall(r'(\w+)="([^"]*)"', found[2]))] = float(found[3])
    assert by_collector == by_file, set(by_collector.items()) ^ set(by_file.items())
    print(f"the collector of OpenTelemetry: {1 + len(steps)} spans, and the {len(by_file)} values of the file")


def check_webhook(folder):
    got = []
    pipeline = (PROJECT / "pipelines/customer_segments.yaml").read_text(encoding="utf-8")
    project = folder / "project"
    (project / "pipelines").mkdir(parents=True)
    (project / "sql").symlink_to(PROJECT / "sql")
    (project / "examples").symlink_to(PROJECT / "examples")
    told = "\nnotify:\n  team:\n    on: [published, failed]\n    webhook: ${WEBHOOK}\n"
    (project / "pipelines/customer_segments.yaml").write_text(pipeline + told, encoding="utf-8")
    command = [SEGMILL, "run", "--as-of", "2011-12-10", "--destination", folder / "other", "--log-format", "json"]
    environment = {**os.environ, "WEBHOOK": f"http://127.0.0.1:{recorder(got)}/hush-4711"}
    done = subprocess.run([str(part) for part in command], cwd=project, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and "hush-4711" not in done.stderr, done
    ((path, body),) = got
    document = json.loads(body)
    assert path == "/hush-4711" and document["events"] == ["published"] and "published as number 1" in document["text"], document
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert all(line["run_id"] == document["run_id"] for line in lines), lines
    print(f"the webhook: {document['text']}; {len(lines)} lines of JSON")


def main():
    with tempfile.TemporaryDirectory() as name, Started(pathlib.Path(name)) as started:
        folder = pathlib.Path(name)
        (folder / "textfile").mkdir()
        check_collector(folder, started)
        alerts = check_promtool(folder)
        check_prometheus(folder, started, alerts)
        check_webhook(folder)


main()
