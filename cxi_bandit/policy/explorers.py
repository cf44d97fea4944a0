"""The explorers a manifest may name: how a model's scores become probabilities."""

from typing import Annotated

import msgspec
from msgspec import Meta

# Vowpal Wabbit computes in single precision and refuses a setting that does not fit, each time the learner starts it.
Setting = Annotated[float, Meta(gt=0.0, le=3e38)]


class SquareCB(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="algorithm", tag="squarecb"
):
    """Inverse-gap weighting; the default."""

    gamma_scale: Setting = 1000.0


class EpsilonGreedy(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="algorithm", tag="epsilon_greedy"
):
    """The best-looking intervention, and with probability epsilon any."""

    epsilon: Annotated[float, Meta(gt=0, le=1)] = 0.05


class Softmax(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="algorithm", tag="softmax"
):
    """Probabilities by exp(lambda x score)."""

    inverse_temperature: Setting = 10.0


class Cover(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="algorithm", tag="cover"):
    """A small cover of policies that explores where they differ."""

    policies: Annotated[int, Meta(ge=1, le=32)] = 4


class Bag(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="algorithm", tag="bag"):
    """Votes of models that each saw a bootstrap of the data."""

    models: Annotated[int, Meta(ge=1, le=32)] = 5


class RegCB(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="algorithm", tag="regcb"):
    """Optimistic confidence bounds of the regression."""


class RND(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="algorithm", tag="rnd"):
    """Random network distillation: explores where a random target is badly predicted."""

    networks: Annotated[int, Meta(ge=1, le=16)] = 3


Explorer = SquareCB | EpsilonGreedy | Softmax | Cover | Bag | RegCB | RND
