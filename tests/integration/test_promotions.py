"""Promotion, override and rollback beside a real service with two workers, as their shoppers meet them."""

import json
import re
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import httpx

from cxi_bandit.bootstrap import Engine, build_engine
from cxi_bandit.bootstrap.database import open_store
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.engine.install import install
from cxi_bandit.settings import Settings
from tests.harness.evidence import file_report
from tests.harness.service import DECISION, MANIFEST, Service, until

QUICK = PolicyName("quick")
CANDIDATE = MANIFEST + "\n[rollout]\nprevious_share = 0.0\n"
LIVE = MANIFEST.replace("[learning]", '[learning]\nupdates = "gated"') + "\n[rollout]\ncanary_shares = []\n"
SOON = 5.0
CALLERS = 16


def asked_over_new_connections(service: Service) -> list[dict[str, Any]]:
    """One decision each over so many connections that are open at once, so that every worker has some of them."""
    with ExitStack() as stack:
        base = f"http://127.0.0.1:{service.port}"
        clients = [stack.enter_context(httpx.Client(base_url=base)) for _ in range(CALLERS)]
        return [client.post("/v1/decisions", json=DECISION).json() for client in clients]


def revision_everywhere(service: Service) -> int:
    """That of the worker furthest behind."""
    told = re.search(r'cxi_bandit_rollout_revision\{policy="quick"\} (\S+)', service.client.get("/metrics").text)
    return 0 if told is None else int(float(told[1]))


def versions(service: Service) -> set[int]:
    return {decision["policy_version"] for decision in asked_over_new_connections(service)}


def rolls_out(service: Service, call: Callable[[], int], revision: int, version: int) -> float:
    """Makes a change; how long until every worker serves it, and nobody is answered by another version any more."""
    assert call() == 201
    seconds = until(lambda: revision_everywhere(service) == revision, SOON)
    assert versions(service) == {version}
    return seconds


def test_what_is_promoted_pinned_and_taken_back_is_what_every_worker_serves_soon_after(
    start_service: Callable[..., Service],
) -> None:
    service = start_service("--dev", workers=2, manifest=LIVE)
    service.await_ready()
    until(lambda: len(re.findall(r'"rolled_out"', service.log.read_text())) == 2, 10)
    with open_store(Settings(data_dir=service.data_dir)) as store:
        engine: Engine = build_engine(store)
        install(store.registry, [("quick.toml", CANDIDATE)], engine.clock(), "test")
        report = file_report(engine.promoting[:3], QUICK, 2, None, at=engine.clock())
    assert versions(service) == {1}
    at, client = f"/v1/policies/{QUICK}", service.client
    body = {"version": 2, "model_version": None, "evaluation": report}
    proposed = client.post(f"{at}/promotions", json=body)
    assert proposed.status_code == 201, proposed.text
    number = proposed.json()["promotion_id"]
    rolls_out(service, lambda: client.post(f"{at}/promotions/{number}/approval").status_code, 2, 2)
    stages = [version["stage"] for version in client.get(at).json()["versions"]]
    assert stages == ["retired", "live"]

    halted = json.loads(service.run("halt", QUICK, "--reason", "the shop is down", "--json").stdout)

    def overridden() -> list[Any]:
        return [decision.get("override_id") for decision in asked_over_new_connections(service)]

    until(lambda: overridden() == [halted["override_id"]] * CALLERS, SOON)
    assert client.post(f"/v1/halt/{halted['override_id']}/lift").status_code == 200
    until(lambda: overridden() == [None] * CALLERS, SOON)

    reason = {"reason": "complaints"}
    seconds = rolls_out(service, lambda: client.post(f"{at}/rollbacks", json=reason).status_code, 3, 1)
    assert seconds < SOON
    told = [line for line in service.log.read_text().splitlines() if '"rolled_out"' in line and '"revision":3' in line]
    assert len(told) == 2, "each worker says so"
    trail = [(entry["action"], entry["actor"]) for entry in client.get(at).json()["trail"]]
    assert [action for action, _ in trail] == [
        "install",
        "install",
        "promotion propose",
        "promotion live",
        "halt",
        "halt lift",
        "rollback",
    ]
    assert {actor for action, actor in trail if action in ("promotion propose", "rollback")} == {"dev"}
