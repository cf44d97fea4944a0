"""Decisions that were never shown: dropped where callers say that they do not look, and only while the log agrees."""

import math
import random
from collections import Counter
from datetime import timedelta

import msgspec
import pytest

from cxi_bandit.domain.errors import ManifestInvalid
from cxi_bandit.domain.outcome import OutcomeStanding
from cxi_bandit.engine.join import join
from cxi_bandit.engine.unseen import WATCH, Unseen
from cxi_bandit.policy.parsing import parse_manifest
from cxi_bandit.policy.unseen import ALARM, Discards
from tests.unit.engine.conftest import MANIFEST

DECLARED = MANIFEST.replace("[reward]", '[reward]\ncounts_when = "activated"\ndiscards_unseen = true')
UNDECLARED = MANIFEST.replace("[reward]", '[reward]\ncounts_when = "activated"')


def lived(cart, decisions, discards, unseen=None, per_pass=50):
    """Decisions of which some are discarded, closed pass by pass, each with its standing."""
    made = []
    for index in range(decisions):
        made.append(cart.logged())
        if not discards(made[-1]):
            cart.store.decisions.activate(made[-1].decision_id, cart.now)
        if index % per_pass == per_pass - 1:
            cart.now += timedelta(seconds=100)
            join(cart.store.outcomes, cart.manifests, cart.now, timedelta(0), unseen=unseen)
    return [(one, cart.store.outcomes.revisions(one.decision_id)[0].standing) for one in made]


def drawn_from(template, chances, place):
    """A decision that drew so from these probabilities."""
    chosen = template.situation.eligible[place]
    return msgspec.structs.replace(template, probabilities=chances, intervention=chosen, propensity=chances[place])


def test_without_the_declaration_they_stay_as_assigned(begin_cart):
    standings = lived(begin_cart(text=UNDECLARED), 100, lambda _: True)
    assert {standing for _, standing in standings} == {OutcomeStanding.LEARNABLE}


def test_who_does_not_look_has_them_dropped(begin_cart):
    coin = random.Random(1)
    standings = lived(begin_cart(text=DECLARED), 600, lambda _: coin.random() < 0.4)
    counted = Counter(standing for _, standing in standings)
    assert counted[OutcomeStanding.UNACTIVATED] > 150
    assert counted.keys() == {OutcomeStanding.UNACTIVATED, OutcomeStanding.LEARNABLE}


def test_who_does_look_is_found_out_and_they_stay_from_there_on(begin_cart):
    coin = random.Random(2)
    cart = begin_cart(text=DECLARED)
    unseen = Unseen(cart.store.outcomes, cart.manifests, cart.store.releases)

    def looks(decision):
        return coin.random() < (0.8 if decision.intervention == "discount" else 0.2)

    standings = lived(cart, 2000, looks, unseen)
    dropped = [index for index, (_, standing) in enumerate(standings) if standing is OutcomeStanding.UNACTIVATED]
    assert dropped, "at first it was believed"
    assert max(dropped) < 1000
    assert unseen.denied() == {(cart.version.policy, cart.version.manifest_sha)}


def test_what_is_kept_is_what_a_new_reader_finds(begin_cart):
    coin = random.Random(3)
    cart = begin_cart(text=DECLARED)
    unseen = Unseen(cart.store.outcomes, cart.manifests, cart.store.releases)
    lived(cart, 1500, lambda one: coin.random() < (0.6 if one.intervention == "hold" else 0.3), unseen)
    assert cart.store.releases.watch(cart.version.policy, WATCH) is not None
    asked = (cart.version.policy, cart.version.manifest_sha)
    fresh = Unseen(cart.store.outcomes, cart.manifests)
    heir = Unseen(cart.store.outcomes, cart.manifests, cart.store.releases)
    answers = {one.may_be_dropped(*asked) for one in (unseen, fresh, heir)}
    assert len(answers) == 1
    assert fresh.denied() == heir.denied() == unseen.denied()


def test_false_alarms_are_as_rare_as_said(begin_cart):
    """200 runs of 400 decisions whose discarding depends on the context and never on the draw; seeds are fixed.

    At 1 in 1,000 each at most, more than two alarms would have come about once in 900 such tests.
    """
    template = begin_cart().decide()
    alarms = 0
    for seed in range(200):
        seeded, discards = random.Random(seed), Discards()
        for _ in range(400):
            skew = seeded.random()
            chances = (0.1 + 0.8 * skew, 0.5 - 0.4 * skew, 0.4 - 0.4 * skew)
            place = seeded.choices(range(3), chances)[0]
            if seeded.random() <= skew:
                discards.add(drawn_from(template, chances, place))
        alarms += discards.depend
    assert alarms <= 2


def test_the_e_value_is_expected_to_stay_as_it_is_at_every_step(begin_cart):
    """Over what could be drawn next, whatever came before."""
    template, seeded = begin_cart().decide(), random.Random(4)
    discards = Discards()
    for _ in range(200):
        raw = [seeded.random() + 0.05 for _ in range(3)]
        chances = tuple(one / sum(raw) for one in raw)
        factors = []
        for place in range(3):
            ahead = Discards(discards.log_e, discards.highest, dict(discards.drawn), dict(discards.expected))
            ahead.add(drawn_from(template, chances, place))
            factors.append(math.exp(ahead.log_e - discards.log_e))
        expected = math.fsum(chance * factor for chance, factor in zip(chances, factors, strict=True))
        assert expected == pytest.approx(1.0)
        discards.add(drawn_from(template, chances, 0))
    assert discards.highest > math.log(ALARM), "and it grows where one intervention is always the discarded one"


def test_the_declaration_alone_is_refused():
    with pytest.raises(ManifestInvalid, match=r"reward\.discards_unseen"):
        parse_manifest(MANIFEST.replace("[reward]", "[reward]\ndiscards_unseen = true"), "cart.toml")
