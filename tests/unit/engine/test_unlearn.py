import pytest

from cxi_bandit.domain.errors import InvalidInput, NotFound
from cxi_bandit.domain.identifiers import PolicyName, Source
from cxi_bandit.engine.unlearn import unlearn, unlearning

CART, BAD = PolicyName("cart"), Source("bad")


def test_a_sender_is_unlearned_up_to_now_unless_said_otherwise(cart):
    asked = unlearning(CART, BAD, None, None, cart.now)
    assert (asked.until, asked.number) == (cart.now, None)
    assert asked.since.year == 2000
    assert unlearn(asked, cart.store.registry, cart.store.outcomes).number == 1


def test_nothing_in_particular_is_not_unlearned(cart):
    with pytest.raises(InvalidInput, match="--source: name the sender"):
        unlearning(CART, None, None, cart.now, cart.now)
    with pytest.raises(InvalidInput, match=r"--from: .* is not before"):
        unlearning(CART, BAD, cart.now, cart.now, cart.now)


def test_a_policy_that_is_not_there_has_nothing_to_unlearn(cart):
    asked = unlearning(PolicyName("nobody"), BAD, None, None, cart.now)
    with pytest.raises(NotFound, match="nobody"):
        unlearn(asked, cart.store.registry, cart.store.outcomes)
    assert cart.store.rebuilds.waiting() == []
