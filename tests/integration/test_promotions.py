"""Promotion, override and rollback beside a real service with two workers, as their shoppers meet them."""

import json
import re
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
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

    back = {"reason": "complaints", "seen": 2}
    seconds = rolls_out(service, lambda: client.post(f"{at}/rollbacks", json=back).status_code, 3, 1)
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


CANARY = MANIFEST.replace("[learning]", '[learning]\nupdates = "gated"') + "\n[rollout]\ncanary_shares = [0.3]\n"
SHOPPERS = 100


def met(service: Service) -> dict[str, dict[str, Any]]:
    """What every shopper is answered, each over one of a few connections, so that any worker may be asked."""
    with ExitStack() as stack:
        base = f"http://127.0.0.1:{service.port}"
        clients = [stack.enter_context(httpx.Client(base_url=base)) for _ in range(CALLERS)]
        names = [f"shopper {number}" for number in range(SHOPPERS)]
        return {
            name: clients[(turn * 7) % CALLERS].post("/v1/decisions", json=DECISION | {"subject": name}).json()
            for turn, name in enumerate(names)
        }


def of_stage(service: Service, stage: str) -> set[str]:
    return {name for name, decision in met(service).items() if decision["stage"] == stage}


def test_a_canary_answers_its_share_of_the_shoppers_the_same_ones_until_it_is_taken_back(
    start_service: Callable[..., Service],
) -> None:
    service = start_service("--dev", workers=2, manifest=CANARY)
    service.await_ready()
    until(lambda: len(re.findall(r'"rolled_out"', service.log.read_text())) == 2, 10)
    with open_store(Settings(data_dir=service.data_dir)) as store:
        engine: Engine = build_engine(store)
        install(store.registry, [("quick.toml", CANDIDATE)], engine.clock(), "test")
        report = file_report(engine.promoting[:3], QUICK, 2, None, at=engine.clock())
    at, client = f"/v1/policies/{QUICK}", service.client
    assert of_stage(service, "live") == {f"shopper {number}" for number in range(SHOPPERS)}
    body = {"version": 2, "model_version": None, "evaluation": report}
    number = client.post(f"{at}/promotions", json=body).json()["promotion_id"]
    assert of_stage(service, "canary") == set(), "nobody is answered by what is only proposed"
    assert client.post(f"{at}/promotions/{number}/approval").json()["step"] == "canary"
    until(lambda: revision_everywhere(service) == 2, SOON)

    first = met(service)
    inside = {name for name, decision in first.items() if decision["stage"] == "canary"}
    # 100 shoppers, each with probability .3: outside 14 to 46 with probability 5e-4; the key is new in every run.
    assert 14 <= len(inside) <= 46
    assert {first[name]["policy_version"] for name in inside} == {2}
    assert {decision["policy_version"] for name, decision in first.items() if name not in inside} == {1}
    assert of_stage(service, "canary") == inside, "the same shoppers, whichever worker answers"
    somebody = first[min(inside)]["decision_id"]
    assignment = client.get(f"/v1/decisions/{somebody}").json()["decision"]["assignment"]
    assert (assignment["arm"], assignment["share"], assignment["salt"]) == ("canary", 0.3, f"quick/canary/{number}")
    assert [beside["place"] for beside in assignment["beside"]] == ["live"]

    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    pin = {"intervention": "free_shipping", "reason": "the courier apologises", "expires_at": soon}
    pinned = client.post(f"{at}/overrides", json=pin).json()["override_id"]

    def all_pinned() -> bool:
        answers = met(service).values()
        return {(each["intervention"], each["propensity"]) for each in answers} == {("free_shipping", 1.0)}

    until(all_pinned, SOON)
    assert client.post(f"{at}/overrides/{pinned}/lift").status_code == 200
    until(lambda: of_stage(service, "canary") == inside, SOON)

    assert client.post(f"{at}/rollbacks", json={"reason": "complaints", "seen": 2}).status_code == 201
    assert until(lambda: revision_everywhere(service) == 3, SOON) < SOON
    assert of_stage(service, "canary") == set()
    assert client.get(f"{at}/promotions/{number}").json()["step"] == "rolled_back"
    actions = [entry["action"] for entry in client.get(at).json()["trail"]]
    assert actions[2:] == ["promotion propose", "promotion approve", "override pin", "override lift", "rollback"]
