"""What was kept and not counted is released or discarded by rows of the ledger, judged by the manifest alone."""

from datetime import timedelta

import pytest

from cxi_bandit.domain.errors import InvalidInput, NotFound
from cxi_bandit.domain.identifiers import RewardId, Source
from cxi_bandit.domain.quarantine import QuarantineState
from cxi_bandit.domain.reward import RewardStatus
from cxi_bandit.engine.quarantine import discard, find_quarantined, quarantine_page, quarantined, release

OPEN, RELEASED, DISCARDED = QuarantineState.OPEN, QuarantineState.RELEASED, QuarantineState.DISCARDED


def parts(cart) -> tuple:
    return cart.store.decisions, cart.store.ledger, cart.manifests


def states(cart) -> list[QuarantineState]:
    return [one.state for one in quarantined(*parts(cart))]


def one(cart, reward_id: str):
    return find_quarantined(Source("shop"), RewardId(reward_id), *parts(cart))


def let_go(cart, reward_id: str, value: float | None = None):
    return release(one(cart, reward_id), value, cart.now, *parts(cart))


def settled(cart, decision) -> float:
    return cart.store.outcomes.revisions(decision.decision_id)[-1].settlement.reward + (
        0.25 if decision.intervention == "discount" else 0.0
    )


@pytest.fixture
def decision(cart):
    """One with a reward of 7 where 1 is the most, its window closed."""
    made = cart.logged()
    assert cart.record(cart.event(made, "odd", 7.0))[0].status is RewardStatus.QUARANTINED
    cart.join(100)
    assert settled(cart, made) == 0.0
    return made


def test_a_release_counts_the_nearest_value_that_is_allowed(cart, decision):
    assert states(cart) == [OPEN]
    made = let_go(cart, "odd")
    assert (made.event.value, made.event.corrects, made.event.source) == (1.0, "odd", "shop")
    assert (one(cart, "odd").state, one(cart, "odd").counts_as) == (RELEASED, 1.0)
    cart.join()
    assert settled(cart, decision) == 1.0
    assert cart.store.ledger.history(decision.decision_id)[0].event.value == 7.0, "its own row stays"


def test_a_release_may_name_the_value(cart, decision):
    assert let_go(cart, "odd", 0.5).event.value == 0.5
    cart.join()
    assert settled(cart, decision) == 0.5
    with pytest.raises(InvalidInput, match=r"--value: 2.0 lies outside \[0, 1\]"):
        let_go(cart, "odd", 2.0)


def test_the_same_again_adds_nothing_and_another_word_overrules(cart, decision):
    assert let_go(cart, "odd", 0.5) is not None
    assert let_go(cart, "odd", 0.5) is None
    assert discard(one(cart, "odd"), cart.now, cart.store.ledger) is not None
    assert discard(one(cart, "odd"), cart.now, cart.store.ledger) is None
    assert states(cart) == [DISCARDED]
    cart.join()
    assert settled(cart, decision) == 0.0
    assert let_go(cart, "odd", 0.25) is not None, "at the very same moment, and yet it is the latest"
    cart.join()
    assert settled(cart, decision) == 0.25
    names = [entry.event.reward_id for entry in cart.store.ledger.history(decision.decision_id)]
    assert names == ["odd", "quarantine/release/odd/1", "quarantine/discard/odd/2", "quarantine/release/odd/3"]


def test_what_its_sender_mended_or_took_back_is_open_no_more(cart, decision):
    cart.record(cart.event(decision, "odd too", -1.0), cart.event(decision, "odd three", 9.0))
    cart.record(
        cart.event(decision, "fix", 0.75, corrects=RewardId("odd")),
        cart.event(decision, "gone", None, retracts=RewardId("odd too")),
        cart.event(decision, "worse", 10.0, corrects=RewardId("odd three")),
    )
    found = {known.entry.event.reward_id: known.state for known in quarantined(*parts(cart))}
    assert found == {"odd": RELEASED, "odd too": DISCARDED, "odd three": OPEN, "worse": OPEN}


def test_a_sender_who_says_so_later_overrules_the_operator(cart, decision):
    let_go(cart, "odd")
    later = cart.now + timedelta(hours=1)
    cart.record(cart.event(decision, "fix", 0.5, corrects=RewardId("odd"), occurred_at=later))
    cart.join()
    assert settled(cart, decision) == 0.5
    assert let_go(cart, "odd", 1.0) is not None
    cart.join()
    assert settled(cart, decision) == 1.0, "an operator who has seen that overrules it in turn"


def test_a_correction_in_quarantine_is_released_into_what_it_corrects(cart):
    made = cart.logged()
    cart.record(cart.event(made, "first", 0.25), cart.event(made, "fix", 3.0, corrects=RewardId("first")))
    cart.join(100)
    assert settled(cart, made) == 0.25
    let_go(cart, "fix", 0.5)
    cart.join()
    assert settled(cart, made) == 0.5
    assert cart.store.outcomes.revisions(made.decision_id)[-1].settlement.counted == 1


def test_an_undeclared_metric_cannot_be_released_and_can_be_discarded(cart, decision):
    cart.record(cart.event(decision, "sunny", 1.0, metric="weather"))
    assert not one(cart, "sunny").declared
    with pytest.raises(InvalidInput, match=r"weather: is no metric of the manifest .* discard the event, and declare"):
        let_go(cart, "sunny")
    discard(one(cart, "sunny"), cart.now, cart.store.ledger)
    assert one(cart, "sunny").state is DISCARDED


def test_what_is_not_in_quarantine_is_not_found(cart, decision):
    cart.record(cart.event(decision, "fine", 1.0))
    for name in ("fine", "nobody"):
        with pytest.raises(NotFound, match="quarantined reward"):
            one(cart, name)


def test_many_are_read_in_pages(cart, decision, monkeypatch):
    monkeypatch.setattr("cxi_bandit.engine.quarantine._CHUNK", 3)
    cart.record(*(cart.event(decision, f"odd{index}", 5.0) for index in range(7)))
    numbers = [known.number for known in quarantined(*parts(cart))]
    assert len(numbers) == 8
    assert numbers == sorted(numbers)


@pytest.mark.parametrize(
    "changes",
    [
        {"reward_id": RewardId("quarantine/release/odd/1")},
        {"corrects": RewardId("quarantine/release/odd/1")},
        {"value": None, "retracts": RewardId("quarantine/discard/odd/1")},
    ],
)
def test_no_sender_may_use_an_operators_ids(cart, decision, changes):
    (receipt,) = cart.record(cart.event(decision, "sly", **changes))
    assert receipt.status is RewardStatus.REJECTED
    assert "operator" in receipt.reason


def test_it_is_read_page_by_page_and_what_does_not_fit_is_passed_over(cart, monkeypatch):
    monkeypatch.setattr("cxi_bandit.engine.quarantine._CHUNK", 4)
    made = cart.logged()
    for number in range(9):
        cart.record(cart.event(made, f"odd{number}", 7.0))
    let_go(cart, "odd1")

    def page(after: int, limit: int):
        found = quarantine_page(after, limit, *parts(cart), lambda reward: reward.state is OPEN)
        return [reward.entry.event.reward_id for reward in found.rewards], found.after

    read, after, sizes = [], 0, []
    while after is not None:
        names, after = page(after, 3)
        read += names
        sizes.append(len(names))
    assert read == [f"odd{number}" for number in range(9) if number != 1]
    assert sizes == [3, 3, 2], "of the first four, one was let go"
    assert page(0, 50)[0] == ["odd0", "odd2", "odd3"]
