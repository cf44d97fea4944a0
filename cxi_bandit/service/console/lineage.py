"""The line of models that led to one: each with the rows it learned, and whether its bytes are still there."""

from typing import Final

import msgspec

from cxi_bandit.domain.errors import NotFound
from cxi_bandit.domain.identifiers import ModelVersion, PolicyName
from cxi_bandit.domain.model import Model
from cxi_bandit.engine.ports import Registry

STEPS: Final = 25
"""Models told at once, each looked up by itself: a policy may have published a model four times a second for years."""


class Ancestor(msgspec.Struct, frozen=True, kw_only=True):
    """A model in a line.

    Attributes:
        thinned: Its bytes are gone and can be derived again while their rows are there.
    """

    model: Model
    thinned: bool


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A model and those it was derived from, the newest first.

    Attributes:
        older: The next one behind the last that is told; None where the line begins.
    """

    models: list[Ancestor]
    older: ModelVersion | None


def line_of(policy: PolicyName, newest: int | None, registry: Registry, steps: int = STEPS) -> Line:
    """The line that ends with a model, or with the last one published where none is named.

    Raises:
        NotFound: The policy has no such model.
    """
    version = newest or registry.last_version(policy)
    if not version:
        return Line(models=[], older=None)
    if newest is not None and newest > registry.last_version(policy):
        raise NotFound("model", f"{policy} {newest}")
    kept = registry.kept(policy)
    found: list[Ancestor] = []
    at: ModelVersion | None = ModelVersion(version)
    while at is not None and len(found) < steps:
        model = registry.model(policy, at)
        found.append(Ancestor(model=model, thinned=at not in kept))
        at = model.lineage.parent
    return Line(models=found, older=at)
