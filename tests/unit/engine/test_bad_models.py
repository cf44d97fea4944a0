"""Whatever stands in the registry in a model's place: it is never served; the one before it answers, then the default.

Each kind of damage is tried on a worker that serves a good model already, and on one that has just started.
"""

import hashlib
import random
from collections.abc import Callable

import msgspec
import pytest

from cxi_bandit.domain.decision import Fallback
from cxi_bandit.engine.decide import admit, distribution
from cxi_bandit.engine.learn import Learner
from cxi_bandit.engine.serve import Serving

WARM = "[exploration.cold_start]\noutcomes = 20\n"
BITS = "[learning]\nbits = 12\n"


def learned(cart, rounds: int, reward: float = 1.0) -> list:
    """Models, each of thirty outcomes."""
    learner = Learner(cart.store.registry, cart.store.outcomes, cart.manifests, cart.room)
    made = []
    for _ in range(rounds):
        for _ in range(30):
            decision = cart.logged()
            value = reward if decision.intervention == "hold" else 1.0 - reward
            cart.record(cart.event(decision, f"r{decision.decision_id}", value))
        cart.join(100)
        made.append(learner.step(cart.version, cart.now))
    return made


@pytest.fixture(scope="module")
def elsewhere(begin_cart) -> dict[str, bytes]:
    """Sound models that are somebody else's."""
    texts = {
        "another policy": begin_cart().text.replace('name = "cart"', 'name = "rival"') + WARM,
        "another manifest": begin_cart().text.replace("retry_coupon", "free_shipping") + WARM,
        "other features": begin_cart().text.replace("cart_value", "basket_value") + WARM,
        "another explorer": begin_cart().text
        + WARM
        + '[exploration.explorer]\nalgorithm = "softmax"\ninverse_temperature = 5.0\n',
        "other bits": begin_cart().text + WARM + BITS,
    }
    found = {}
    for name, text in texts.items():
        cart = begin_cart(text=text)
        model = learned(cart, 1, reward=0.0)[-1]
        found[name] = cart.store.registry.model_bytes(cart.version.policy, model.lineage.version)
    return found


def flipped(data: bytes, at: float, bit: int = 0) -> bytes:
    index = min(int(at * len(data)), len(data) - 1)
    return data[:index] + bytes([data[index] ^ 1 << bit]) + data[index + 1 :]


def scrambled(data: bytes) -> bytes:
    shuffled = bytearray(data)
    random.Random(1).shuffle(shuffled)
    return bytes(shuffled)


DAMAGE: dict[str, Callable[[bytes], bytes | None]] = {
    "empty": lambda data: b"",
    "one byte short": lambda data: data[:-1],
    "half": lambda data: data[: len(data) // 2],
    "its header only": lambda data: data[:64],
    "its first byte": lambda data: data[:1],
    "one byte long": lambda data: data + b"\0",
    "twice": lambda data: data + data,
    "zeroed": lambda data: bytes(len(data)),
    "its end zeroed": lambda data: data[: len(data) // 2] + bytes(len(data) - len(data) // 2),
    "ones": lambda data: b"\xff" * len(data),
    "scrambled": scrambled,
    "a bit at its start": lambda data: flipped(data, 0.0),
    "a bit at its end": lambda data: flipped(data, 1.0),
    **{f"a bit at {at}": lambda data, at=at: flipped(data, at, bit=7) for at in (0.1, 0.3, 0.5, 0.7, 0.9)},
    "no model at all": lambda data: b"%PDF-1.7 not a model",
    "thinned away": lambda data: None,
}
FOREIGN = ["another policy", "another manifest", "other features", "another explorer", "other bits"]


def vector(cart, serving: Serving) -> tuple:
    request = cart.request()
    served = serving.route(request)
    return distribution(served, admit(request, served).situation)


def put(cart, model, data: bytes | None, **claims: object) -> None:
    """In a model's place in the registry, whose row then claims what is given."""
    registry, key = cart.store.registry, (cart.version.policy, model.lineage.version)
    registry._models[key] = msgspec.structs.replace(model, **claims)
    if data is None:
        del registry._bytes[key]
    else:
        registry._bytes[key] = data


def held_to(cart, bad, good) -> None:
    """A worker that serves `good` goes on with it, a fresh one takes it up; were it bad too, the default answers."""
    running, before = cart.serving, vector(cart, cart.serving)
    assert before.model_version == good.lineage.version
    found = running.refresh()
    assert [refusal.model.lineage.version for refusal in found.refused] == [bad.lineage.version]
    assert found.swapped == []
    assert vector(cart, running) == before
    decision = cart.decide()
    assert decision.model_version == good.lineage.version

    fresh = Serving(cart.store.registry, cart.store.releases, cart.manifests, cart.room)
    found = fresh.refresh()
    assert (len(found.refused), found.swapped) == (1, [good])
    assert vector(cart, fresh) == before

    sound = cart.store.registry.model_bytes(cart.version.policy, good.lineage.version)
    put(cart, good, b"")
    lost = Serving(cart.store.registry, cart.store.releases, cart.manifests, cart.room)
    assert len(lost.refresh().refused) == 1
    drawn_from = vector(cart, lost)
    assert (drawn_from.model_version, drawn_from.fallback) == (None, Fallback.COLD_START)
    assert sum(drawn_from.probabilities) == pytest.approx(1.0, abs=1e-12)
    assert min(drawn_from.probabilities) >= 0.01
    cart.serving = lost
    decision = cart.decide()
    assert decision.fallback is Fallback.COLD_START
    assert decision.probabilities == drawn_from.probabilities
    assert decision.propensity == decision.probabilities[decision.situation.eligible.index(decision.intervention)]
    put(cart, good, sound)


@pytest.fixture
def warm(begin_cart):
    cart = begin_cart(text=begin_cart().text + WARM)
    (good,) = learned(cart, 1)
    assert cart.serving.refresh().swapped == [good]
    (bad,) = learned(cart, 1)
    return cart, good, bad


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_model_is_never_served(warm, kind: str) -> None:
    cart, good, bad = warm
    data = cart.store.registry.model_bytes(cart.version.policy, bad.lineage.version)
    put(cart, bad, DAMAGE[kind](data))
    held_to(cart, bad, good)


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_foreign_model_in_its_place_is_never_served(warm, elsewhere, kind: str) -> None:
    cart, good, bad = warm
    put(cart, bad, elsewhere[kind])
    held_to(cart, bad, good)


# Of the others the SHA-256 alone can tell: a byte at the end may change no golden vector.
GROSS = ["empty", "half", "its header only", "zeroed", "its end zeroed", "ones", "scrambled", "no model at all"]


@pytest.mark.parametrize("kind", [*GROSS, *FOREIGN])
def test_it_is_not_served_even_where_its_sha256_was_made_to_match(warm, elsewhere, kind: str) -> None:
    cart, good, bad = warm
    data = cart.store.registry.model_bytes(cart.version.policy, bad.lineage.version)
    forged = elsewhere[kind] if kind in elsewhere else DAMAGE[kind](data)
    put(cart, bad, forged, sha256=hashlib.sha256(forged or b"").hexdigest())
    held_to(cart, bad, good)


def test_a_model_of_another_manifest_of_the_policy_is_never_served(warm) -> None:
    cart, good, bad = warm
    put(
        cart,
        bad,
        cart.store.registry.model_bytes(cart.version.policy, bad.lineage.version),
        lineage=msgspec.structs.replace(bad.lineage, manifest_sha="0" * 64),
    )
    held_to(cart, bad, good)


def test_once_a_good_model_follows_it_is_served(warm) -> None:
    cart, good, bad = warm
    data = cart.store.registry.model_bytes(cart.version.policy, bad.lineage.version)
    put(cart, bad, data[:-1])
    held_to(cart, bad, good)
    put(cart, bad, data)
    (better,) = learned(cart, 1)
    assert cart.serving.refresh().swapped == [better]
    assert vector(cart, cart.serving).model_version == better.lineage.version
