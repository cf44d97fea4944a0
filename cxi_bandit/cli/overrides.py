"""`cxi-bandit overrides`: what people have pinned or halted, by whom, why and until when."""

from collections.abc import Iterable
from typing import Any, Final

from cxi_bandit.bootstrap import build_engine
from cxi_bandit.bootstrap.database import open_store
from cxi_bandit.cli.options import show_json, show_table
from cxi_bandit.cli.rebuild import known_policy
from cxi_bandit.domain.override import Override
from cxi_bandit.settings import read_settings

_COLUMNS: Final = ("id", "pins", "policy", "surface", "defect", "segment", "by", "reason", "until", "lifted")


def overrides(policy: str | None, every: bool, as_json: bool, **options: Any) -> None:  # noqa: ANN401 - settings of any type
    """The work of `cxi-bandit overrides`."""
    with open_store(read_settings(**options)) as store:
        engine = build_engine(store)
        names = None if policy is None else (None, known_policy(engine, policy))
        now = engine.clock()
        found = [
            one
            for one in store.releases.overrides(standing=not every)
            if (every or one.stands_at(now)) and (names is None or one.policy in names)
        ]
    if as_json:
        show_json({"overrides": found})
    else:
        show_overrides(found)


def show_overrides(found: Iterable[Override]) -> None:
    """A table for people."""
    rows = [
        (
            one.override_id,
            f"{one.intervention} (halt)" if one.halts else one.intervention,
            one.policy or "all",
            one.surface or "all",
            one.defect or "all",
            ", ".join(f"{name}={value}" for name, value in one.segment.items()) or "all",
            one.author,
            one.reason,
            one.expires_at,
            None if one.lifted_at is None else f"{one.lifted_at} by {one.lifted_by}",
        )
        for one in found
    ]
    show_table("Overrides", _COLUMNS, rows)
