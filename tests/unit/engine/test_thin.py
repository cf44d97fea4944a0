"""Which models keep their bytes."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from cxi_bandit.domain.identifiers import ManifestSha, ModelVersion, PolicyName
from cxi_bandit.domain.model import Branch, Lineage, Model
from cxi_bandit.engine.learn import Learner
from cxi_bandit.engine.thin import superfluous, thin
from cxi_bandit.policy.manifest import Checkpoints

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
RULE = Checkpoints(keep_last=10, hourly_days=2.0)


def model(version: int, age: timedelta, branch: Branch = Branch.MAIN) -> Model:
    lineage = Lineage(
        policy=PolicyName("cart"),
        policy_version=1,
        version=ModelVersion(version),
        branch=branch,
        parent=None if branch is Branch.START else ModelVersion(version - 1),
        manifest_sha=ManifestSha("0" * 64),
        vw_build="9.11.9",
        after=version - 1,
        up_to=version,
        ledger_cut=0,
        erasure_cut=0,
        learned=1,
        learned_total=version,
    )
    return Model(lineage=lineage, sha256="f" * 64, size_bytes=1, golden=(), created_at=NOW - age)


def every_minute(days: int) -> list[Model]:
    minutes = days * 24 * 60
    models = [model(index + 2, timedelta(minutes=minutes - index)) for index in range(minutes)]
    return [model(1, timedelta(minutes=minutes + 1), Branch.START), *models]


def kept(models: list[Model], now: datetime = NOW, heads: frozenset[ModelVersion] = frozenset()) -> list[Model]:
    going = set(superfluous(models, RULE, heads, now))
    return [model for model in models if model.lineage.version not in going]


def test_the_newest_then_one_an_hour_then_one_a_day() -> None:
    models = every_minute(days=5)
    stay = kept(models)
    assert stay[-10:] == models[-10:]
    older = stay[:-10]
    recent = [model for model in older if NOW - model.created_at <= timedelta(days=2)]
    hours = [model.created_at.replace(minute=0) for model in recent]
    assert len(hours) == len(set(hours)) == 48
    days = [model.created_at.date() for model in older if NOW - model.created_at > timedelta(days=2)]
    assert len(days) == len(set(days)) == 4, "the first of them the start"
    assert len(stay) == 10 + 48 + 4
    assert stay[0].lineage.branch is Branch.START


def test_a_head_stays_however_old_it_is() -> None:
    models = every_minute(days=1)
    old = models[100].lineage.version
    assert old in superfluous(models, RULE, frozenset(), NOW)
    assert old not in superfluous(models, RULE, frozenset({old}), NOW)


@given(st.lists(st.integers(0, 4 * 24 * 60), min_size=1, max_size=150), st.integers(0, 5 * 24 * 60))
def test_thinning_again_thins_nothing_more_and_later_only_what_has_aged(minutes: list[int], later: int) -> None:
    ages = sorted(minutes, reverse=True)
    models = [model(index + 2, timedelta(minutes=age)) for index, age in enumerate(ages)]
    stay = kept(models)
    assert kept(stay) == stay
    then = NOW + timedelta(minutes=later)
    assert kept(stay, then) == kept(models, then), "what went early would have gone by then"


@given(st.lists(st.integers(0, 3 * 24 * 60), min_size=1, max_size=150))
def test_a_checkpoint_is_never_further_than_its_period(minutes: list[int]) -> None:
    models = [model(index + 2, timedelta(minutes=age)) for index, age in enumerate(sorted(minutes, reverse=True))]
    stay = kept(models)
    for one in models:
        before = [other for other in stay if other.lineage.version <= one.lineage.version]
        assert before, "the first of all stays"
        period = timedelta(hours=1) if NOW - one.created_at < timedelta(days=1) else timedelta(days=1)
        nearest = before[-1].created_at
        gap = [other for other in models if nearest < other.created_at <= one.created_at - period]
        assert not gap, "nothing that old lies between a model and the checkpoint before it"


def test_a_policys_models_are_thinned_by_their_own_manifest(begin_cart) -> None:
    text = begin_cart().text + "[learning]\npublish_seconds = 0.0\ncheckpoints = { keep_last = 10, hourly_days = 0 }\n"
    cart = begin_cart(text=text)
    registry, policy = cart.store.registry, cart.version.policy
    learner = Learner(registry, cart.store.outcomes, cart.manifests, cart.room)
    for _ in range(15):
        cart.logged()
        cart.join(100)
        learner.step(cart.version, cart.now)
    assert thin(policy, registry, cart.store.releases, cart.manifests, cart.now) == 5
    assert registry.kept(policy) == {1, *range(7, 17)}, "the start is its day's first"
    assert thin(policy, registry, cart.store.releases, cart.manifests, cart.now) == 0
