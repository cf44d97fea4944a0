"""`cxi-bandit override`: pin an intervention for a while, or lift the pin."""

from typing import Any, Final

from cxi_bandit.bootstrap import Engine, build_engine
from cxi_bandit.bootstrap.database import open_store
from cxi_bandit.cli.options import moment, show_json
from cxi_bandit.cli.overrides import show_overrides
from cxi_bandit.cli.rebuild import known_policy
from cxi_bandit.domain.decision import FeatureValue
from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.identifiers import InterventionId
from cxi_bandit.domain.override import Override
from cxi_bandit.engine.candidacy import version_of
from cxi_bandit.engine.override import lift as lift_override
from cxi_bandit.engine.override import pin
from cxi_bandit.policy.manifest import FlagFeature, NumberFeature, Schema
from cxi_bandit.settings import read_settings

_FLAGS: Final = {"true": True, "false": False}


def override(
    lift: int | None,
    actor: str,
    *,
    as_json: bool,
    data_dir: Any,  # noqa: ANN401 - settings of any type
    database_url: Any,  # noqa: ANN401 - as above
    **asked: Any,  # noqa: ANN401 - as above
) -> None:
    """The work of `cxi-bandit override`."""
    given = [name for name, value in asked.items() if value]
    if lift is not None and given:
        raise InvalidInput("--lift", f"an override is lifted by its id alone; leave out {', '.join(given)}")
    for name, argument in (
        ("policy", "POLICY"),
        ("intervention", "--intervention"),
        ("reason", "--reason"),
        ("until", "--until"),
    ):
        if lift is None and not asked[name]:
            raise InvalidInput(argument, "is needed to pin an intervention")
    with open_store(read_settings(data_dir=data_dir, database_url=database_url)) as store:
        engine = build_engine(store)
        if lift is None:
            made = pin(_asked(engine, actor, asked), store.registry, store.releases, engine.manifests)
        else:
            made = lift_override(lift, actor, store.releases, engine.clock())
    if as_json:
        show_json(made)
    else:
        show_overrides([made])


def _asked(engine: Engine, actor: str, asked: dict[str, Any]) -> Override:
    policy, store = known_policy(engine, asked["policy"]), engine.store
    version = version_of(store.releases.rollout(policy).live, policy, store.registry)
    schema = engine.manifests.by_sha(version.manifest_sha).context
    return Override(
        intervention=InterventionId(asked["intervention"]),
        author=actor,
        reason=asked["reason"],
        made_at=engine.clock(),
        expires_at=moment(asked["until"], "--until"),
        policy=policy,
        surface=asked["surface"],
        defect=asked["defect"],
        segment=dict(_condition(text, schema) for text in asked["segment"]),
    )


def _condition(text: str, schema: Schema) -> tuple[str, FeatureValue]:
    """A feature with its value, of the type that the manifest declares; what it does not know stays text."""
    name, equals, value = text.partition("=")
    if not equals:
        raise InvalidInput("--segment", f"{text!r} has no `=`; write device=mobile")
    kind = schema.features.get(name)
    if isinstance(kind, FlagFeature) and value in _FLAGS:
        return name, _FLAGS[value]
    if isinstance(kind, NumberFeature):
        try:
            return name, float(value)
        except ValueError as error:
            raise InvalidInput("--segment", f"{name} is a number; {value!r} is none") from error
    return name, value
