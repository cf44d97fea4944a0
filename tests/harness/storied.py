"""A policy with a past, over any store: versions, models, budgets, reports that say go, wait and refuse, a halt."""

import math
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from cxi_bandit.bootstrap import Engine, build_engine
from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.evaluation import Check, EvidencePoint, GuardrailStanding, Level, TrialRecord
from cxi_bandit.domain.gate import Ruling
from cxi_bandit.domain.identifiers import InterventionId, ModelVersion, PolicyName
from cxi_bandit.domain.model import Branch, Lineage, Model
from cxi_bandit.engine.install import install
from cxi_bandit.engine.ports import LeaseRequest
from cxi_bandit.policy.budgets import day_of, lines
from cxi_bandit.store.memory import MemoryStore
from tests.harness.evidence import file_report

POLICY = PolicyName("detail-page")
UNSAFE = "<script>alert('x')</script>"
_SHIPPED = (Path(__file__).parents[2] / "policies" / "detail-page.toml").read_text()

LIVE = _SHIPPED.replace(
    'id = "live_chat"', 'id = "live_chat"\nprice = 3.5\nbudget_per_day = 70.0\nper_day = 40'
).replace('description = "', f'description = "{UNSAFE} ', 1) + (
    "\n[limits]\ncooldown_seconds = 3600.0\nexploration_cost_per_day = 20.0\n"
    '[[limits.caps]]\ninterventions = ["live_chat"]\nmost = 2\nseconds = 86400.0\n'
)
CANDIDATE = LIVE + "# another version\n"
OTHER = LIVE + "# and another\n"

BOTH_STORES = pytest.mark.parametrize("engine", ["memory", "postgres"], indirect=True)
"""For tests of an `engine` that is `of_either_store`."""


def of_either_store(request: pytest.FixtureRequest) -> Engine:
    """A policy with a past; over memory where a test does not say otherwise."""
    over_memory = getattr(request, "param", "memory") == "memory"
    engine = build_engine(MemoryStore() if over_memory else request.getfixturevalue("postgres_store"))
    tell_a_past(engine)
    return engine


def tell_a_past(engine: Engine) -> None:
    """Version 1 is live, 2 and 3 are candidates; 2 has learned, and some of its models were thinned."""
    for text in (LIVE, CANDIDATE, OTHER):
        install(engine.store.registry, [("detail-page.toml", text)], engine.clock(), f"installer {UNSAFE}")
    publish_models(engine, 2, 30)
    manifest = engine.manifests.by_sha(engine.store.registry.versions(POLICY)[0].manifest_sha)
    line = lines(manifest, 1.0)[InterventionId("live_chat")]
    engine.store.budgets.lease([LeaseRequest(POLICY, Arm.LIVE, today(engine), line, 5)])


def today(engine: Engine) -> date:
    return day_of(engine.clock(), "UTC")


def publish_models(engine: Engine, version: int, number: int) -> None:
    """A line of models of a version that nobody serves; the oldest are thinned."""
    registry = engine.store.registry
    sha = next(one.manifest_sha for one in registry.versions(POLICY) if one.version == version)
    for count in range(1, number + 1):
        lineage = Lineage(
            policy=POLICY,
            policy_version=version,
            version=ModelVersion(count),
            branch=Branch.START if count == 1 else Branch.MAIN,
            parent=None if count == 1 else ModelVersion(count - 1),
            manifest_sha=sha,
            vw_build="9.11.9",
            after=100 * (count - 1) if count > 1 else 0,
            up_to=100 * count if count > 1 else 0,
            ledger_cut=count,
            erasure_cut=0,
            learned=100 if count > 1 else 0,
            learned_total=100 * (count - 1),
        )
        model = Model(
            lineage=lineage, sha256=f"{count:064x}", size_bytes=4096, golden=((1.0,),), created_at=engine.clock()
        )
        registry.publish(model, b"x", moves_head_from=lineage.parent)
    registry.thin(POLICY, [ModelVersion(count) for count in range(2, 15)])


def file_story(engine: Engine, version: int, ruling: Ruling = Ruling.GO) -> int:
    """A report about a version's cold start with everything that a report may have."""
    number = file_report(engine.promoting[:3], POLICY, version, None, at=engine.clock(), ruling=ruling)
    filed = engine.store.evaluations.get(number)
    start = datetime(2026, 11, 1, tzinfo=UTC)
    first = filed.report.estimates["dr"]
    estimates = {
        "dr": first,
        "ips": msgspec.structs.replace(first, value=0.28, interval=None, assumptions=UNSAFE),
        "dm": msgspec.structs.replace(first, value=None, interval=None),
    }
    checks = tuple(
        Check(code=f"ess_{level.value}", value=12.5, level=level, message=f"{level.value} {UNSAFE}", remedy="more rows")
        for level in Level
    )
    trial = TrialRecord(
        proposal=UNSAFE,
        ordinal=2,
        candidates=1,
        alpha=0.0076,
        log_threshold=math.log(1 / 0.0076),
        incumbent=filed.report.verdict.incumbent,
        opened_at=start,
        heard_until=start + timedelta(days=7),
        days=7,
        units=4321,
        anonymous=3,
        latecomers=0,
        clipped=1,
        log_e=5.5,
        guardrails=(GuardrailStanding(metric="complaint", margin=0.02, log_e=4.0, passed=True),),
        path=tuple(EvidencePoint(start + timedelta(days=day), 600 * day, 0.8 * day) for day in range(1, 8)),
    )
    report = msgspec.structs.replace(
        filed.report,
        candidate=f"version {version} {UNSAFE}",
        estimates=estimates,
        diagnostics=msgspec.structs.replace(filed.report.diagnostics, n=98_765, ess=123.4, checks=checks),
        trial=trial,
    )
    return engine.store.evaluations.save(
        report, policy=POLICY, manifest_sha=filed.manifest_sha, model_version=None, at=engine.clock()
    )
