"""A collector of traces: takes what is sent by OTLP over HTTP, and keeps it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector:
    """What was sent so far."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.spans: list[tuple[str, Any]] = []

    def named(self, name: str) -> list[Any]:
        return [span for _, span in self.spans if span.name == name]

    def processes_of(self, name: str) -> set[str]:
        return {process for process, span in self.spans if span.name == name}


@contextmanager
def collecting() -> Iterator[Collector]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["content-length"])))
            for resource in sent.resource_spans:
                known = {one.key: one.value.string_value for one in resource.resource.attributes}
                process = known["cxi_bandit.process"]
                collector.spans += [(process, span) for scope in resource.scope_spans for span in scope.spans]
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector = Collector(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
