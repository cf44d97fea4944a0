"""Which columns of a table are what: as a TOML file or made in a program."""

from pathlib import Path

import msgspec

from cxi_bandit.domain.errors import InvalidInput


class Columns(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Names of columns; those that are None are not there.

    Attributes:
        action: What was drawn: a text, or a whole number.
        propensity: Probability with which it was drawn, in (0, 1].
        reward: What it earned.
        logged_at: When, with a time zone, or as text in ISO 8601; None where the order of rows is all there is.
        position: Slot, a whole number from 1.
        subject: The shopper: a whole number, or a text, of which a digest is kept.
        probabilities: The whole vector, a list over `catalogue`, null where an action could not be drawn.
    """

    action: str
    propensity: str
    reward: str
    logged_at: str | None = None
    position: str | None = None
    subject: str | None = None
    probabilities: str | None = None


class RewardRange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Declared, never the log's own extremes: bounds of intervals are computed from it."""

    min: float = 0.0
    max: float = 1.0


class Mapping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to read a table as a log.

    Attributes:
        columns: What is where.
        context: Column by the feature name it gets; numbers, texts and booleans.
        reward: Declared range.
        smallest_propensity: Declared floor of the logging policy.
        catalogue: All actions, in the order of `probabilities`; empty takes those that were drawn, sorted.
    """

    columns: Columns
    context: dict[str, str] = {}
    reward: RewardRange = RewardRange()
    smallest_propensity: float | None = None
    catalogue: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.columns.probabilities is not None and not self.catalogue:
            raise InvalidInput("mapping", "`probabilities` needs `catalogue`: which action is which entry")
        if len(set(self.catalogue)) != len(self.catalogue):
            raise InvalidInput("mapping", "`catalogue` names an action twice")

    @property
    def used(self) -> tuple[str, ...]:
        """Every column that is read."""
        own = (getattr(self.columns, name) for name in Columns.__struct_fields__)
        return tuple(dict.fromkeys([*(name for name in own if name is not None), *self.context.values()]))


def read_mapping(path: Path) -> Mapping:
    """The mapping in a TOML file.

    Raises:
        InvalidInput: It cannot be read, is no TOML, lacks a column, or holds a key nobody knows.
    """
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Mapping)
    except OSError as error:
        raise InvalidInput("mapping", f"cannot read {path.name}: {error.strerror}") from error
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise InvalidInput("mapping", f"{path.name}: {error}") from error
