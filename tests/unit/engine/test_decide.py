import hmac
import math
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxi_bandit.domain.decision import Defect, Fallback, Offer
from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.identifiers import ModelVersion
from cxi_bandit.engine.decide import ServedPolicy, admit, distribution, distributions, pseudonym
from cxi_bandit.engine.learn import Learner


def test_a_cold_policy_draws_from_its_cold_start_distribution_and_says_so(cart):
    decision = cart.decide()
    assert decision.situation.eligible == ("hold", "retry_coupon", "discount")
    floors = (0.02, 0.01, 0.01)
    expected = [floor + 0.96 * share for floor, share in zip(floors, (0.3, 0.35, 0.35), strict=True)]
    assert decision.probabilities == pytest.approx(expected, abs=1e-15)
    assert decision.fallback is Fallback.MODEL_UNAVAILABLE
    assert decision.model_version is None
    assert decision.propensity == decision.probabilities[decision.situation.eligible.index(decision.intervention)]
    assert decision.closes_at - decision.decided_at == timedelta(seconds=60)


def test_an_untrained_model_is_a_cold_start_not_a_failure(cart):
    Learner(cart.store.registry, cart.store.outcomes, cart.manifests, cart.room).start(cart.version, cart.now)
    cart.serving.refresh()
    assert cart.decide().fallback is Fallback.COLD_START


def test_rules_and_callers_narrow_the_eligible_set_and_the_reason_is_kept(cart):
    poor = cart.decide(context={"cart_value": 5.0})
    assert poor.situation.eligible == ("hold", "retry_coupon")
    assert poor.excluded == {"discount": "needs context.cart_value at least 20.0"}
    other = cart.decide(defect=Defect("price_jump", 0.1, 0.1))
    assert other.excluded == {"retry_coupon": "not for defect price_jump"}
    narrowed = cart.decide(interventions=(Offer("discount"),))
    assert narrowed.situation.eligible == ("hold", "discount"), "hold is always eligible"


def test_only_hold_left_is_drawn_with_certainty(cart):
    decision = cart.decide(interventions=())
    assert (decision.intervention, decision.propensity, decision.probabilities) == ("hold", 1.0, (1.0,))


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"defect": Defect("zero_results", 0.5, 0.5)}, "/defect/type"),
        ({"defect": Defect("price_jump", 1.5, 0.5)}, "/defect/severity"),
        ({"defect": Defect("price_jump", 0.5, math.nan)}, "/defect/confidence"),
        ({"context": {"cart_value": math.inf}}, "/context/cart_value"),
        ({"context": {"cart_value": True}}, "/context/cart_value"),
        ({"context": {"device": "fridge"}}, "/context/device"),
        ({"interventions": (Offer("voucher"),)}, "/interventions/0/id"),
        ({"interventions": (Offer("discount", {"colour": "red"}),)}, "/interventions/0/features/colour"),
        ({"interventions": (Offer("discount", {"generosity": 2.0}),)}, "/interventions/0/features/generosity"),
        ({"interventions": (Offer("discount", {"a/b~c": 2.0}),)}, "/interventions/0/features/a~1b~0c"),
        (
            {"interventions": (Offer("discount", {"generosity": 0.2}), Offer("discount", {"generosity": 0.8}))},
            "/interventions/1/features",
        ),
        ({"interventions": (Offer("discount", {"generosity": 0.2}), Offer("discount"))}, "/interventions/1/features"),
    ],
)
def test_what_the_manifest_does_not_allow_is_refused_by_name(cart, changes, pointer):
    with pytest.raises(InvalidInput) as refused:
        cart.decide(**changes)
    assert refused.value.pointer == pointer


def test_a_candidate_named_twice_alike_is_one_candidate(cart):
    twice = cart.decide(interventions=(Offer("discount"), Offer("discount")))
    assert twice.situation.eligible == ("hold", "discount")


def test_an_offers_features_that_are_all_dropped_leave_the_catalogues(cart, begin_cart):
    assert 'unknown_features = "refuse"' in cart.text
    cart = begin_cart(cart.text.replace('unknown_features = "refuse"', 'unknown_features = "drop"'))
    request = cart.request(interventions=(Offer("discount", {"next_release": 1.0}),))
    admitted = admit(request, cart.serving.route(request))
    assert admitted.situation.offered == {}
    assert admitted.dropped_features == 1


def test_unknown_context_features_are_dropped(cart):
    decision = cart.decide(context={"cart_value": 40.0, "brand_new_feature": 1.0, "device": "mobile"})
    assert list(decision.situation.context.items()) == [("device", "mobile"), ("cart_value", 40.0)], "manifest order"


def test_unknown_surfaces_and_policies_are_refused(cart):
    for changes, pointer in (({"surface": "kiosk"}, "/surface"), ({"policy": "other"}, "/policy")):
        with pytest.raises(InvalidInput) as refused:
            cart.decide(**changes)
        assert refused.value.pointer == pointer


def test_together_each_is_told_what_it_is_told_alone(cart):
    class Fixed:
        """As the real ones: it scores for those of its own kind as well."""

        def __init__(self, *vector):
            self.vector = vector

        def probabilities(self, situation):
            return self.vector

        def together(self, situation, others):
            return [one.probabilities(situation) for one in (self, *others)]

    learner = Learner(cart.store.registry, cart.store.outcomes, cart.manifests, cart.room)
    head = learner.start(cart.version, cart.now)
    situation, manifest = cart.decide().situation, cart.manifests.by_sha(cart.version.manifest_sha)

    def served(learned, number, scorer):
        lineage = msgspec.structs.replace(head.lineage, learned_total=learned, version=ModelVersion(number))
        return ServedPolicy(cart.version, manifest, msgspec.structs.replace(head, lineage=lineage), scorer)

    policies = [
        ServedPolicy(cart.version, manifest, None, None),
        served(1000, 1, Fixed(0.1, 0.2, 0.7)),
        served(1, 2, Fixed(0.3, 0.3, 0.4)),
        served(1000, 3, Fixed(0.5, 0.6, math.nan)),
        served(1000, 4, Fixed(0.7, 0.2, 0.1)),
        served(1000, 5, None),
    ]
    alone = [distribution(one, situation) for one in policies]
    assert distributions(policies, situation) == alone
    assert [(one.model_version, one.fallback) for one in alone] == [
        (None, Fallback.MODEL_UNAVAILABLE),
        (1, None),
        (None, Fallback.COLD_START),
        (None, Fallback.MODEL_REFUSED),
        (4, None),
        (None, Fallback.MODEL_UNAVAILABLE),
    ]
    assert distributions(policies[::-1], situation) == alone[::-1]
    only_hold = msgspec.structs.replace(situation, eligible=("hold",))
    assert distributions(policies, only_hold) == [((1.0,), None, None)] * len(policies)


def test_a_model_whose_vector_fails_its_check_is_not_sampled_from(cart):
    class Broken:
        def probabilities(self, situation):
            return [0.5, 0.6, math.nan]

    learner = Learner(cart.store.registry, cart.store.outcomes, cart.manifests, cart.room)
    head = learner.start(cart.version, cart.now)
    trained = msgspec.structs.replace(head, lineage=msgspec.structs.replace(head.lineage, learned_total=1000))
    served = ServedPolicy(cart.version, cart.manifests.by_sha(cart.version.manifest_sha), trained, Broken())
    found = distribution(served, cart.decide().situation)
    assert found.fallback is Fallback.MODEL_REFUSED
    assert found.model_version is None
    assert math.fsum(found.probabilities) == pytest.approx(1.0, abs=1e-12)


def test_subjects_are_pseudonyms_under_the_stores_key(cart):
    key = cart.store.keyring.subject_key()
    assert cart.decide(subject="anna").subject == pseudonym(key, "anna") != pseudonym(b"other" * 8, "anna")
    assert cart.decide().subject is None


@given(secret=st.binary(max_size=200), subject=st.text(max_size=200))
def test_a_pseudonym_is_the_hmac_of_the_subject_whatever_the_keys_length(secret, subject):
    assert pseudonym(secret, subject) == hmac.digest(secret, subject.encode(), "sha256")
