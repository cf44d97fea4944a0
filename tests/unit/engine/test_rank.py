"""Which defects are worth acting on, by what is known before anything is drawn."""

import math
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxi_bandit.bootstrap import Engine, in_memory_engine
from cxi_bandit.domain.decision import DecisionRequest, Defect, Situation, Stage
from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.explanation import Contribution
from cxi_bandit.domain.identifiers import ManifestSha, ModelVersion, PolicyName
from cxi_bandit.domain.model import Branch, Lineage, Model
from cxi_bandit.domain.release import PolicyVersion
from cxi_bandit.engine.decide import ServedPolicy
from cxi_bandit.engine.rank import Prospect, prospect_of, rank, score
from cxi_bandit.policy.parsing import parse_manifest
from tests.unit.engine.conftest import MANIFEST

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SITUATION = Situation(defect=Defect("price_jump", 0.5, 0.5), context={}, eligible=("hold", "retry_coupon", "discount"))
unit = st.floats(0.0, 1.0)


class Expecting:
    """A scorer that expects what it is told."""

    def __init__(self, *vectors: list[float]) -> None:
        self.vectors = list(vectors)

    def probabilities(self, situation: Situation) -> list[float]:
        raise AssertionError("ranking draws nothing")

    def estimates(self, situation: Situation) -> list[list[float]]:
        return self.vectors

    def contributions(self, situation: Situation, intervention: str) -> list[Contribution]:
        raise AssertionError("nobody asks why")


def served(*vectors: list[float], learned: int = 400) -> ServedPolicy:
    version = PolicyVersion(
        policy=PolicyName("cart"), version=1, manifest_sha=ManifestSha("0"), stage=Stage.LIVE, created_at=NOW
    )
    lineage = Lineage(
        policy=PolicyName("cart"),
        policy_version=1,
        version=ModelVersion(2),
        branch=Branch.MAIN,
        parent=ModelVersion(1),
        manifest_sha=ManifestSha("0"),
        vw_build="none",
        after=0,
        up_to=learned,
        ledger_cut=0,
        erasure_cut=0,
        learned=learned,
        learned_total=learned,
    )
    model = Model(lineage=lineage, sha256="", size_bytes=0, golden=(), created_at=NOW)
    return ServedPolicy(version, parse_manifest(MANIFEST, "cart.toml"), model, Expecting(*vectors))


def about(severity: float, confidence: float, kind: str = "price_jump") -> DecisionRequest:
    return DecisionRequest(surface="cart", defect=Defect(kind, severity, confidence))


def test_the_prospect_is_that_of_the_best_intervention_over_hold() -> None:
    found = prospect_of(served([0.1, 0.3, 0.2]), SITUATION)
    assert found is not None
    assert found.benefit == pytest.approx(0.2)
    # The reward's range is 1.5 wide: no mean of 400 of them has a larger standard error than 0.75 / 20.
    assert found.uncertainty == pytest.approx(0.75 / 20)


def test_where_nothing_is_expected_to_help_the_prospect_is_a_loss() -> None:
    found = prospect_of(served([0.5, 0.3, 0.1]), SITUATION)
    assert found is not None
    assert found.benefit == pytest.approx(-0.2)


def test_several_models_tell_how_far_they_differ() -> None:
    found = prospect_of(served([0.0, 0.2, 0.0], [0.1, 0.5, 0.0]), SITUATION)
    assert found is not None
    assert found.benefit == pytest.approx(0.3)
    assert found.uncertainty == pytest.approx(0.1)


def test_without_a_model_that_has_learned_or_with_one_gone_mad_nothing_is_expected() -> None:
    assert prospect_of(served([0.1, 0.3, 0.2], learned=0), SITUATION) is None
    assert prospect_of(served([0.1, math.nan, 0.2]), SITUATION) is None
    assert prospect_of(served([0.1]), msgspec.structs.replace(SITUATION, eligible=("hold",))) == Prospect(0.0, 0.0)


@given(unit, unit, st.floats(-1.0, 1.0), st.floats(0.0, 1.0))
def test_more_of_anything_never_ranks_lower(
    severity: float, confidence: float, benefit: float, uncertainty: float
) -> None:
    here = score(about(severity, confidence), Prospect(benefit, uncertainty))
    assert score(about(min(severity + 0.1, 1.0), confidence), Prospect(benefit, uncertainty)) >= here
    assert score(about(severity, min(confidence + 0.1, 1.0)), Prospect(benefit, uncertainty)) >= here
    assert score(about(severity, confidence), Prospect(benefit + 0.1, uncertainty)) >= here
    assert score(about(severity, confidence), Prospect(benefit, uncertainty + 0.1)) <= here
    assert score(about(severity, confidence), None) == severity * confidence


@pytest.fixture
def engine() -> Engine:
    allowed = MANIFEST + "[serving]\ninterventions_per_request = 2\n"
    return in_memory_engine([("cart.toml", allowed)])


def test_without_models_severity_and_confidence_rank_and_equals_stay_in_order(engine: Engine) -> None:
    first, second = about(0.5, 0.5), about(0.5, 0.5, "coupon_failure")
    assert [one.request for one in rank([first, second], engine.serving).ranked] == [first, second]
    assert [one.request for one in rank([second, first], engine.serving).ranked] == [second, first]
    worse = about(0.5, 0.6, "coupon_failure")
    found = rank([first, worse], engine.serving)
    assert [one.request for one in found.ranked] == [worse, first]
    assert [one.score for one in found.ranked] == [0.3, 0.25]
    assert found.decided == 2
    assert rank([first], engine.serving).decided == 1


def test_what_is_wrong_with_one_of_them_is_named_by_its_place(engine: Engine) -> None:
    with pytest.raises(InvalidInput) as caught:
        rank([about(0.5, 0.5), about(1.5, 0.5, "coupon_failure")], engine.serving)
    assert caught.value.pointer == "/defects/1/severity"
    with pytest.raises(InvalidInput) as caught:
        rank([about(0.5, 0.5), about(0.5, 0.5, "moonquake")], engine.serving)
    assert caught.value.pointer == "/defects/1/type"
    with pytest.raises(InvalidInput) as caught:
        rank([msgspec.structs.replace(about(1.0, 1.0), context={"device": "moon"})], engine.serving)
    assert caught.value.pointer == "/context/device"
