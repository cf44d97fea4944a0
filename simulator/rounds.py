"""Logged rounds as arrays, and the same rounds scored by a candidate policy: the two values every estimator reads."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cxi_bandit.domain.errors import InvalidInput

Floats = NDArray[np.floating]
Float64s = NDArray[np.float64]
Ints = NDArray[np.integer]
Bools = NDArray[np.bool_]

# Logged vectors are float64 and exact; a candidate may be float32, whose sum over a large catalogue drifts further.
SUM_TOLERANCE = {"f8": 1e-6, "f4": 1e-4}
PROPENSITY_TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False, kw_only=True)
class LoggedRounds:
    """One log: n decisions with their true propensities and outcomes, in decision order.

    Arrays are borrowed, not copied.

    Args:
        actions: The K action names, in catalogue order.
        action: Index into `actions` of the logged action, shape (n,).
        propensity: Probability in (0, 1] with which it was drawn, shape (n,).
        reward: Outcome of the decision, in the manifest's units, shape (n,).
        logged_at: Decision time, epoch seconds, shape (n,).
        position: 0-based slot, shape (n,), where a decision fills one of several slots.
        subject: Integer code of the shopper, shape (n,); the same code means the same shopper in every partition.
        probabilities: The logged vectors, shape (n, K).
        eligible: Which actions could have been drawn, shape (n, K).

    Raises:
        InvalidInput: Names the field and the first row (0-based) that breaks a rule.
    """

    actions: tuple[str, ...]
    action: Ints
    propensity: Float64s
    reward: Float64s
    logged_at: Float64s
    position: Ints | None = None
    subject: Ints | None = None
    probabilities: Floats | None = None
    eligible: Bools | None = None

    def __post_init__(self) -> None:
        if len(set(self.actions)) != len(self.actions) or not self.actions:
            raise InvalidInput("actions", "names must be unique and there must be at least one")
        n = len(self.action)
        for field in ("action", "propensity", "reward", "logged_at", "position", "subject"):
            self._check_vector(field, n)
        for field in ("probabilities", "eligible"):
            _check_matrix_shape(field, getattr(self, field), n, len(self.actions))
        _refuse_rows("action", (self.action < 0) | (self.action >= len(self.actions)), "is not an index of `actions`")
        _refuse_rows("propensity", ~((self.propensity > 0) & (self.propensity <= 1)), "is not in (0, 1]")
        _refuse_rows("reward", ~np.isfinite(self.reward), "is not finite")
        _refuse_rows("logged_at", ~np.isfinite(self.logged_at), "is not finite")
        if self.position is not None:
            _refuse_rows("position", self.position < 0, "is negative; slots are counted from 0")
        rows = np.arange(n)
        if self.eligible is not None:
            _refuse_rows("eligible", ~self.eligible[rows, self.action], "excludes the logged action")
        if self.probabilities is not None:
            check_distributions("probabilities", self.probabilities)
            drift = np.abs(self.probabilities[rows, self.action] - self.propensity)
            _refuse_rows(
                "probabilities", drift > PROPENSITY_TOLERANCE, "differs from `propensity` at the logged action"
            )

    def _check_vector(self, field: str, n: int) -> None:
        values = getattr(self, field)
        if values is None:
            return
        if values.shape != (n,):
            raise InvalidInput(field, f"has shape {values.shape}, expected ({n},)")
        if field in {"action", "position", "subject"} and not np.issubdtype(values.dtype, np.integer):
            raise InvalidInput(field, f"has type {values.dtype}, expected integers")

    def __len__(self) -> int:
        return len(self.action)

    @property
    def n_actions(self) -> int:
        """K, the size of the catalogue."""
        return len(self.actions)

    @cached_property
    def shoppers_return(self) -> bool:
        """Whether the log names shoppers and some shopper has more than one row."""
        return self.subject is not None and len(np.unique(self.subject)) < len(self.subject)

    def take(self, rows: Ints | slice) -> "LoggedRounds":
        """The rounds at `rows`, in that order; a slice makes views."""
        return replace(
            self,
            action=self.action[rows],
            propensity=self.propensity[rows],
            reward=self.reward[rows],
            logged_at=self.logged_at[rows],
            position=None if self.position is None else self.position[rows],
            subject=None if self.subject is None else self.subject[rows],
            probabilities=None if self.probabilities is None else self.probabilities[rows],
            eligible=None if self.eligible is None else self.eligible[rows],
        )


@dataclass(frozen=True, eq=False)
class ScoredRounds:
    """A batch of rounds with the candidate's probabilities and a reward model's predictions.

    What several estimators need per row (w, q at the logged action, dm) is computed once, on first use; after that no
    estimator touches an (n, K) array again.

    Args:
        rounds: The log, n rows.
        candidate: π_e(a|x), shape (n, K), float32 or float64.
        q_hat: Predicted rewards q̂(x, a), shape (n, K), fitted on *other* folds; estimators that need it raise without.
        mixture_propensity: Probability of the logged action under the mixture of the logging versions, shape (n,);
            None where one version logged everything, and the mixture is that version.
    """

    rounds: LoggedRounds
    candidate: Floats
    q_hat: Floats | None = None
    mixture_propensity: Float64s | None = None

    def __post_init__(self) -> None:
        n, k = len(self.rounds), self.rounds.n_actions
        _check_matrix_shape("candidate", self.candidate, n, k)
        _check_matrix_shape("q_hat", self.q_hat, n, k)
        check_distributions("candidate", self.candidate)
        if self.mixture_propensity is not None:
            if self.mixture_propensity.shape != (n,):
                raise InvalidInput("mixture_propensity", f"has shape {self.mixture_propensity.shape}, expected ({n},)")
            bad = ~((self.mixture_propensity > 0) & (self.mixture_propensity <= 1 + PROPENSITY_TOLERANCE))
            _refuse_rows("mixture_propensity", bad, "is not in (0, 1]")

    def __len__(self) -> int:
        return len(self.rounds)

    @property
    def reward(self) -> Float64s:
        """Outcomes r_i, shape (n,)."""
        return self.rounds.reward

    @property
    def subject(self) -> Ints | None:
        """Shopper codes, shape (n,), or None."""
        return self.rounds.subject

    @cached_property
    def candidate_of_action(self) -> Float64s:
        """π_e(a_i|x_i), shape (n,)."""
        return self.candidate[np.arange(len(self)), self.rounds.action].astype(np.float64)

    @cached_property
    def weight(self) -> Float64s:
        """w_i = π_e(a_i|x_i) / p_i, shape (n,)."""
        return self.candidate_of_action / self.rounds.propensity

    @cached_property
    def q_of_action(self) -> Float64s:
        """q̂(x_i, a_i), shape (n,)."""
        return self._predictions()[np.arange(len(self)), self.rounds.action].astype(np.float64)

    @cached_property
    def dm(self) -> Float64s:
        """Σ_a π_e(a|x_i) q̂(x_i, a), shape (n,)."""
        values: Float64s = np.einsum("nk,nk->n", self.candidate, self._predictions()).astype(np.float64)
        # inf and nan survive the sum (0·inf is nan), so one look at n numbers checks all n·K of them.
        _refuse_rows("q_hat", ~np.isfinite(values), "holds a value that is not finite")
        return values

    @cached_property
    def residual(self) -> Float64s:
        """r_i - q̂(x_i, a_i), shape (n,)."""
        return self.reward - self.q_of_action

    @cached_property
    def q_range(self) -> tuple[float, float]:
        """Smallest and largest prediction over all rows and actions."""
        q = self._predictions()
        return (float(q.min()), float(q.max())) if q.size else (0.0, 0.0)

    def with_predictions(self, q_hat: Floats | None) -> "ScoredRounds":
        """The same rounds and candidate under another reward model."""
        return ScoredRounds(self.rounds, self.candidate, q_hat, self.mixture_propensity)

    def take(self, rows: Ints | slice) -> "ScoredRounds":
        """The rows at `rows`, in that order; a slice makes views."""
        q_hat = None if self.q_hat is None else self.q_hat[rows]
        mixture = None if self.mixture_propensity is None else self.mixture_propensity[rows]
        return ScoredRounds(self.rounds.take(rows), self.candidate[rows], q_hat, mixture)

    def _predictions(self) -> Floats:
        if self.q_hat is None:
            raise InvalidInput("q_hat", "this estimate needs a reward model's predictions and none were given")
        return self.q_hat


def check_distributions(field: str, matrix: Floats) -> None:
    """Raise `InvalidInput` unless every row of `matrix`, shape (n, K), is a probability vector."""
    # A matrix-vector product reads the matrix once and allocates n numbers; nan anywhere makes its row's sum nan.
    total: Floats = matrix @ np.ones(matrix.shape[1], dtype=matrix.dtype)
    tolerance = SUM_TOLERANCE.get(matrix.dtype.str[1:], SUM_TOLERANCE["f8"])
    close: Bools = np.abs(total - 1.0) <= tolerance
    _refuse_rows(field, ~close, "does not sum to 1")
    if matrix.size and matrix.min() < 0:
        _refuse_rows(field, (matrix < 0).any(axis=1), "has a negative probability")


def _check_matrix_shape(field: str, matrix: NDArray[np.generic] | None, n: int, k: int) -> None:
    if matrix is not None and matrix.shape != (n, k):
        raise InvalidInput(field, f"has shape {matrix.shape}, expected ({n}, {k})")


def _refuse_rows(field: str, bad: Bools | np.bool_, reason: str) -> None:
    if bad.any():
        raise InvalidInput(field, f"row {int(np.argmax(bad))} {reason} ({int(np.count_nonzero(bad))} such rows)")
