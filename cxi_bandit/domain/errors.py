"""What can go wrong, in the product's words.

The service maps each error to a problem document, the command line to an exit code.
"""


class CxiBanditError(Exception):
    """Any failure this project raises on purpose."""


class InvalidInput(CxiBanditError):
    """The caller sent something that cannot be accepted.

    Args:
        pointer: JSON pointer (or key, or row) of the field at fault, `/context/device`.
        detail: What is wrong and how to mend it, in one sentence.
    """

    def __init__(self, pointer: str, detail: str) -> None:
        super().__init__(f"{pointer}: {detail}")
        self.pointer = pointer
        self.detail = detail


class ManifestInvalid(CxiBanditError):
    """A policy manifest breaks a rule; names file, key and reason, and the line where it is known."""

    def __init__(self, file: str, key: str, reason: str, line: int | None = None) -> None:
        super().__init__(f"{file}: {key}: {reason}" if line is None else f"{file}: {key}: {reason} (line {line})")
        self.file = file
        self.key = key
        self.reason = reason
        self.line = line


class NotFound(CxiBanditError):
    """No such decision, policy, model or log.

    Args:
        hint: A clause about what there is instead, beginning with its punctuation.
    """

    def __init__(self, kind: str, identifier: str, hint: str = "") -> None:
        super().__init__(f"no {kind} {identifier!r}{hint}")
        self.kind = kind
        self.identifier = identifier


class IdempotencyConflict(CxiBanditError):
    """The same Idempotency-Key came with another body."""

    def __init__(self, key: str) -> None:
        super().__init__("this Idempotency-Key was used before with another body; send a new key")
        self.key = key


class IdempotencyInProgress(CxiBanditError):
    """The first request with this Idempotency-Key has not been answered within this one's deadline."""

    def __init__(self, key: str) -> None:
        super().__init__("the first request with this Idempotency-Key is still being answered; send the same again")
        self.key = key


class DistributionInvalid(CxiBanditError):
    """A probability vector failed its check: it must not be sampled from."""


class ModelInvalid(CxiBanditError):
    """Model bytes do not match their recorded SHA-256, build or golden probabilities: they must not be served."""


class LearningConflict(CxiBanditError):
    """Another writer moved this policy's model on: this derivation is dropped, nothing was written."""


class EvidenceConflict(CxiBanditError):
    """Another sitting of this trial was kept meanwhile: nothing was written."""

    def __init__(self, trial: str, sitting: int) -> None:
        super().__init__(
            f"sitting {sitting} of trial {trial!r} is kept already, or one before it is missing; ask again"
        )
        self.trial = trial
        self.sitting = sitting


class RolloutConflict(CxiBanditError):
    """The roll-out, promotion or watch was changed meanwhile: nothing was written; look again."""


class WrongStep(CxiBanditError):
    """A promotion or roll-out is not where this can be done; says where it is, and what can be."""


class ShiftExceeded(CxiBanditError):
    """A model would move the probabilities further than the manifest allows in one step: it was not published."""

    def __init__(self, parent: str, position: int) -> None:
        super().__init__(
            f"the outcome at position {position} alone would move the probabilities of {parent} further than "
            "rollout.maximum_shift allows; the model stays as it is: raise the bound, or update gated"
        )
        self.parent = parent
        self.position = position


class Unavailable(CxiBanditError):
    """A part this call needs is away or full; try again after `retry_after_seconds`."""

    def __init__(self, part: str, retry_after_seconds: float = 1.0) -> None:
        super().__init__(f"{part} is unavailable; try again in {retry_after_seconds:g} s")
        self.part = part
        self.retry_after_seconds = retry_after_seconds


class SpoolFull(Unavailable):
    """The spool has reached its bound, or its disk takes no more: nothing was written."""

    def __init__(self) -> None:
        super().__init__("the spool (it is full)")
