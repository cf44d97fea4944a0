import json
import signal
from pathlib import Path

from tests.harness.collector import collecting
from tests.harness.service import Service, until

from .test_serve import reward

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_a_service_sends_what_its_caller_asked_for_and_what_it_learned(tmp_path: Path) -> None:
    with collecting() as collector:
        wishes = {
            "CXI_BANDIT_TRACES": "true",
            "CXI_BANDIT_TRACE_RATIO": "0",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.address,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        service = Service(tmp_path / "data", 1, "--dev", settings=wishes)
        try:
            service.await_ready()
            # Untraced, and enough for the loop to have a connection of its own: the traced one is committed by it.
            for _ in range(3):
                service.decide()
            headers = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
            decision = service.client.post("/v1/decisions", json=service.decision, headers=headers).json()
            service.client.post("/v1/rewards", json=reward(decision))
            until(lambda: bool(collector.named("learn") and collector.named("POST /v1/decisions")), 20)
            service.process.send_signal(signal.SIGTERM)
            assert service.process.wait(30) == 0
        finally:
            service.close()
    names = {"POST /v1/decisions", "choose", "await log", "commit decisions"}
    traced = [span for process, span in collector.spans if process == "worker"]
    assert {span.name for span in traced} == names
    assert {span.trace_id.hex() for span in traced} == {TRACE}
    by_name = {span.name: span for span in traced}
    assert by_name["POST /v1/decisions"].parent_span_id.hex() == CALLER
    assert by_name["choose"].parent_span_id == by_name["POST /v1/decisions"].span_id
    assert by_name["await log"].parent_span_id == by_name["POST /v1/decisions"].span_id
    assert by_name["commit decisions"].parent_span_id == by_name["await log"].span_id
    assert collector.processes_of("join") == collector.processes_of("learn") == {"learner"}
    lines = [json.loads(line) for line in service.log.read_text().splitlines() if line.startswith("{")]
    told = {line["trace_id"]: line["decision_id"] for line in lines if "trace_id" in line}
    assert told == {TRACE: decision["decision_id"]}
