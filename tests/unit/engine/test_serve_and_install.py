import msgspec
import pytest

from cxi_bandit.domain.decision import Stage
from cxi_bandit.domain.errors import LearningConflict, ManifestInvalid, Unavailable
from cxi_bandit.engine.install import install
from cxi_bandit.engine.learn import Learner
from cxi_bandit.engine.serve import Refresh


@pytest.fixture
def learner(cart):
    return Learner(cart.store.registry, cart.store.outcomes, cart.manifests, cart.room)


def learn(cart, learner, count=30):
    for _ in range(count):
        cart.record(cart.event(cart.logged(), f"r{cart.now.isoformat()}"))
    cart.join(100)
    return learner.step(cart.version, cart.now)


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-7], lambda data: data[:-1] + b"\x01", lambda data: bytes(len(data))]
)
def test_a_damaged_model_is_never_served_and_the_one_before_stays(cart, learner, damage):
    good = learn(cart, learner)
    assert cart.serving.refresh().swapped == [good]
    bad = learn(cart, learner)
    key = (cart.version.policy, bad.lineage.version)
    cart.store.registry._bytes[key] = damage(cart.store.registry._bytes[key])
    found = cart.serving.refresh()
    assert [refusal.model for refusal in found.refused] == [bad]
    assert next(iter(cart.serving.policies)).model == good
    assert cart.serving.refresh().refused == [], "it is refused once, not at every look"


def test_a_worker_that_starts_on_a_damaged_model_serves_the_nearest_sound_one_before_it(cart, learner):
    good, worse, bad = learn(cart, learner), learn(cart, learner), learn(cart, learner)
    for model in (worse, bad):
        key = (cart.version.policy, model.lineage.version)
        cart.store.registry._bytes[key] = cart.store.registry._bytes[key][:-7]
    found = cart.serving.refresh()
    assert [refusal.model for refusal in found.refused] == [bad]
    assert found.swapped == [good]
    assert next(iter(cart.serving.policies)).model == good
    assert cart.serving.refresh() == Refresh([], [])


def test_where_no_model_is_sound_none_is_served(cart, learner):
    learn(cart, learner)
    for key, data in list(cart.store.registry._bytes.items()):
        cart.store.registry._bytes[key] = data[:-7]
    assert cart.serving.refresh().swapped == []
    assert next(iter(cart.serving.policies)).model is None


def test_a_foreign_model_with_its_own_right_sha_is_unmasked_by_its_golden_probabilities(cart, learner):
    first = learn(cart, learner)
    second = learn(cart, learner)
    assert first.golden != second.golden
    forged = msgspec.structs.replace(second, sha256=first.sha256)
    registry = cart.store.registry
    registry._models[cart.version.policy, second.lineage.version] = forged
    registry._bytes[cart.version.policy, second.lineage.version] = registry._bytes[
        cart.version.policy, first.lineage.version
    ]
    assert "golden" in cart.serving.refresh().refused[0].reason


def test_a_store_that_is_away_for_a_moment_does_not_condemn_a_model(cart, learner):
    model = learn(cart, learner)
    registry = cart.store.registry
    model_bytes = registry.model_bytes

    def away(*args):
        registry.model_bytes = model_bytes
        raise Unavailable("the database")

    registry.model_bytes = away
    with pytest.raises(Unavailable):
        cart.serving.refresh()
    assert cart.serving.refresh().swapped == [model]


def test_a_model_that_cannot_be_loaded_now_keeps_no_other_from_being_served(cart, learner, monkeypatch):
    rival = cart.text.replace('name = "cart"', 'name = "a-rival"').replace('surface = "cart"', 'surface = "search"')
    (version,) = install(cart.store.registry, [("rival.toml", rival)], cart.now, "test")
    unloaded, model = learner.start(version, cart.now), learn(cart, learner)
    load = cart.room.load

    def crowded(manifest, data):
        if manifest.name == version.policy:
            raise OSError("no room on the device")
        return load(manifest, data)

    monkeypatch.setattr(cart.room, "load", crowded)
    found = cart.serving.refresh()
    assert found.swapped == [model]
    assert [refusal.model for refusal in found.refused] == [unloaded]
    assert {policy.version.policy for policy in cart.serving.policies} == {"cart", "a-rival"}
    monkeypatch.undo()
    assert cart.serving.refresh().swapped == [unloaded], "it was no fault of the model, so it is tried again"


def test_nothing_new_publishes_nothing(cart, learner):
    assert learn(cart, learner) is not None
    assert learner.step(cart.version, cart.now) is None


def test_a_rival_learner_loses_and_writes_nothing(cart, learner):
    learner.start(cart.version, cart.now)
    publish = cart.store.registry.publish
    rival = Learner(cart.store.registry, cart.store.outcomes, cart.manifests, cart.room)

    def overtaken(*args, **kwargs):
        cart.store.registry.publish = publish
        rival.step(cart.version, cart.now)
        publish(*args, **kwargs)

    for _ in range(10):
        cart.logged()
    cart.join(100)
    cart.store.registry.publish = overtaken
    with pytest.raises(LearningConflict):
        learner.step(cart.version, cart.now)
    assert len(cart.store.registry.models(cart.version.policy)) == 2


def test_the_first_manifest_goes_live_and_a_changed_one_waits_as_a_candidate(cart):
    registry = cart.store.registry
    assert [version.stage for version in registry.versions()] == [Stage.LIVE]
    changed = cart.text.replace("cost = 0.25", "cost = 0.3")
    assert [version.stage for version in install(registry, [("cart.toml", changed)], cart.now, "op")] == [
        Stage.CANDIDATE
    ]
    assert install(registry, [("cart.toml", changed), ("cart.toml", cart.text)], cart.now, "op") == []
    assert [entry.action for entry in registry.trail()] == ["install", "install"]
    cart.serving.refresh()
    assert next(iter(cart.serving.policies)).version.version == 1


def test_one_wrong_manifest_registers_none(cart):
    good = cart.text.replace("cost = 0.25", "cost = 0.5")
    with pytest.raises(ManifestInvalid, match=r"bad\.toml"):
        install(cart.store.registry, [("good.toml", good), ("bad.toml", "format = 1")], cart.now, "op")
    assert len(cart.store.registry.versions()) == 1


def test_a_surface_is_one_policys(cart):
    rival = cart.text.replace('name = "cart"', 'name = "cart-two"')
    with pytest.raises(ManifestInvalid, match=r"rival\.toml: defects\.coupon_failure: on 'cart' it is policy cart's"):
        install(cart.store.registry, [("rival.toml", rival)], cart.now, "op")
