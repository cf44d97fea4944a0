import http.client
import json
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import psutil

from tests.harness.exposition import series
from tests.harness.service import until

Start = Callable[..., Any]


def reward(decision: dict[str, Any]) -> dict[str, Any]:
    return {
        "decision_id": decision["decision_id"],
        "reward_id": str(uuid4()),
        "metric": "order",
        "value": 1.0 if decision["intervention"] == "free_shipping" else 0.0,
        "occurred_at": datetime.now(UTC).isoformat(),
    }


def ask_afresh(service: Any) -> dict[str, Any]:
    """Decides over a connection of its own, so that either worker may be the one to answer."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=5)
    connection.request("POST", "/v1/decisions?dry_run=true", json.dumps(service.decision))
    body: dict[str, Any] = json.load(connection.getresponse())
    connection.close()
    return body


def descendants(service: Any) -> list[psutil.Process]:
    return [
        process
        for process in psutil.Process(service.process.pid).children(recursive=True)
        if "postgres" not in process.name()
    ]


def the_learner(service: Any) -> psutil.Process:
    (learner,) = [child for child in descendants(service) if "cxi_bandit.worker" in child.cmdline()]
    return learner


def api_workers(service: Any) -> list[psutil.Process]:
    """The server's own children: those of the supervisor's child that runs the service room."""
    return [
        worker
        for child in psutil.Process(service.process.pid).children()
        if "cxi_bandit.service" in child.cmdline()
        for worker in child.children()
    ]


def test_what_is_learned_is_served_by_every_worker_within_a_second(start_service: Start) -> None:
    service = start_service("--dev", workers=2)
    service.await_ready()
    decisions = [service.decide() for _ in range(10)]
    assert decisions[0]["fallback"] in ("cold_start", "model_unavailable")
    answer = service.client.post("/v1/rewards", json=[reward(decision) for decision in decisions])
    assert {result["status"] for result in answer.json()["results"]} == {"accepted"}

    def learned_everywhere() -> bool:
        asked = [ask_afresh(service) for _ in range(8)]
        return all("fallback" not in each and each["model_version"] >= 2 for each in asked)

    took = until(learned_everywhere, 5)
    assert took < 2, "a second, and as much again for a busy machine"

    receipt = service.client.get(f"/v1/decisions/{decisions[0]['decision_id']}").json()
    assert receipt["outcomes"][0]["settlement"]["completed"]
    assert receipt["learned_by"]
    metrics = series(service.client.get("/metrics").text)
    quick = ("policy", "quick")
    assert ("cxi_bandit_models_published_total", frozenset({quick})) in metrics
    assert ("cxi_bandit_decisions_total", frozenset({("intervention", "hold"), quick})) in metrics
    assert metrics["cxi_bandit_learned_decision_age_seconds_count", frozenset({quick})] >= 10
    assert metrics["cxi_bandit_learner_turn_timestamp_seconds", frozenset()] > time.time() - 60
    for process in ("worker", "learner"):
        assert metrics["cxi_bandit_process_start_time_seconds", frozenset({("process", process)})] > time.time() - 60
        at_once = "cxi_bandit_database_pool_requests_total", frozenset({("process", process), ("result", "at_once")})
        # A process looks at its pool once a second, and all of the above may have taken less.
        until(lambda told=at_once: series(service.client.get("/metrics").text).get(told, 0) > 0, 5)

    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(30) == 0
    assert not (service.data_dir / "database" / "postmaster.pid").exists()


def test_a_killed_worker_comes_back(start_service: Start) -> None:
    service = start_service("--dev", workers=2)
    service.await_ready()
    victim = api_workers(service)[0]
    victim.kill()
    until(lambda: len(api_workers(service)) == 2 and victim.pid not in {p.pid for p in api_workers(service)}, 5)
    assert service.process.poll() is None

    def both_answer() -> bool:
        try:
            return all(httpx.get(f"{service.client.base_url}/health/ready").status_code == 200 for _ in range(4))
        except httpx.TransportError:
            return False  # the other worker was still starting when its sibling was killed

    until(both_answer, 10)


def test_nothing_outlives_a_killed_supervisor_and_the_next_one_finds_everything(start_service: Start) -> None:
    service = start_service("--dev")
    service.await_ready()
    decision = service.decide()
    children = descendants(service)
    assert children
    service.process.kill()
    service.process.wait()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
    service.process = service.start()
    service.await_ready()
    receipt = service.client.get(f"/v1/decisions/{decision['decision_id']}")
    assert receipt.json()["decision"]["propensity"] == decision["propensity"]


def test_one_data_directory_has_one_service(start_service: Start) -> None:
    first = start_service("--dev")
    first.await_ready()
    second = first.run("serve", "--dev", "--port", "1")
    assert second.returncode == 69
    assert "another service" in second.stderr
    assert "Traceback" not in second.stderr
    elsewhere = first.run("serve", "--dev", "--port", str(first.port), "--data-dir", f"{first.data_dir}-2")
    assert elsewhere.returncode == 69
    assert "something else listens" in elsewhere.stderr


def test_keys_open_what_their_scopes_say(start_service: Start) -> None:
    service = start_service()
    alone = service.run("policies", "check", str(service.policies / "quick.toml"), "--json")
    assert alone.returncode == 0, alone.stderr
    service.await_ready()
    assert service.client.get("/v1/policies").status_code == 401
    made = service.run("keys", "create", "--name", "shop", "--scope", "decide", "--scope", "reward")
    assert made.returncode == 0, made.stderr
    service.client.headers["authorization"] = f"Bearer {made.stdout.strip()}"
    service.decide()
    assert service.client.get("/v1/policies").status_code == 403
    assert service.run("keys", "create", "--name", "shop", "--scope", "read").returncode == 2
    assert '"shop"' in service.run("keys", "list", "--json").stdout
    assert service.run("keys", "revoke", "shop").returncode == 0
    until(lambda: service.client.post("/v1/decisions", json=service.decision).status_code == 401, 10)
    assert service.run("keys", "revoke", "nobody").returncode == 2
    assert "quick" in service.run("policies", "--json").stdout


def test_the_learner_lets_those_who_serve_go_first(start_service: Start) -> None:
    service = start_service("--dev")
    service.await_ready()
    assert the_learner(service).nice() > max(worker.nice() for worker in api_workers(service))


def test_those_who_load_models_are_told_to_take_their_tables_from_the_kernel(start_service: Start) -> None:
    service = start_service("--dev")
    service.await_ready()
    for process in (the_learner(service), *api_workers(service)):
        table_bytes = 4 * 4 * 2**18
        assert int(process.environ()["MALLOC_MMAP_THRESHOLD_"]) < table_bytes
