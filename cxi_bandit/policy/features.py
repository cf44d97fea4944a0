"""Holding a caller's features against the schema a manifest declares."""

from cxi_bandit.domain.decision import Features
from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.policy.manifest import CategoryFeature, NumberFeature, Schema
from cxi_bandit.policy.parsing import mismatch


def conform(schema: Schema, given: Features, pointer: str) -> tuple[Features, int]:
    """The known features of `given` in manifest order, and how many unknown ones were dropped.

    Order matters: another order of features gives a model other bytes. Numbers come back as floats, with -0.0 as 0.0,
    so that a value survives storage unchanged.

    Args:
        pointer: JSON pointer of `given` within the request, for errors.

    Raises:
        InvalidInput: A value has the wrong type or lies out of range, a required feature is missing, or an unknown one
            came and the schema refuses those.
    """
    known: Features = {}
    for name, kind in schema.features.items():
        value = given.get(name)
        if value is None:
            if kind.required:
                raise InvalidInput(f"{pointer}/{name}", "is required by the policy's schema; send it")
            continue
        # Nearly all values are plainly as declared, and to see that costs a fifth of saying why one is not.
        if type(kind) is NumberFeature:
            if type(value) is float and kind.min <= value <= kind.max:
                known[name] = value + 0.0
                continue
        elif type(kind) is CategoryFeature:
            if type(value) is str and value in kind.values:
                known[name] = value
                continue
        elif value is True or value is False:
            known[name] = value
            continue
        if reason := mismatch(kind, value):
            raise InvalidInput(f"{pointer}/{name}", reason)
        known[name] = float(value) + 0.0 if type(kind) is NumberFeature else value
    if len(given) == len(known):
        return known, 0
    unknown = [name for name in given if name not in schema.features]
    if unknown and schema.unknown_features == "refuse":
        raise InvalidInput(
            f"{pointer}/{escape(unknown[0])}", "is not a feature of this policy, and the policy refuses unknown ones"
        )
    return known, len(unknown)


def escape(key: str) -> str:
    """A key as a step of a JSON pointer (RFC 6901). A declared name needs none, what a caller sends may."""
    return key.replace("~", "~0").replace("/", "~1")
