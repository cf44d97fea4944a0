"""Candidates that look at no context: uniform over what is eligible, and a table of probabilities per slot."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.settings import read_text
from simulator.candidates.candidate import Prepared
from simulator.datasets.log import ReplayLog
from simulator.progress import Track
from simulator.rounds import Float64s

_SUM_TOLERANCE = 1e-6
_MATRIX = 2


@dataclass(frozen=True)
class Uniform:
    """Every eligible action with the same probability."""

    spec: str = "uniform"
    by_row: bool = field(default=True, init=False)

    def prepare(self, log: ReplayLog, track: Track) -> Prepared:  # noqa: ARG002 - nothing here takes time
        """1 / (number of eligible actions) on each of them."""
        rounds = log.rounds
        if rounds.eligible is None:
            return Prepared(log=log, probabilities=np.full((len(rounds), rounds.n_actions), 1.0 / rounds.n_actions))
        return Prepared(log=log, probabilities=rounds.eligible / rounds.eligible.sum(axis=1, keepdims=True))


@dataclass(frozen=True, eq=False)
class ActionTable:
    """The same probabilities at every row of a slot, whatever the context.

    Args:
        table: Probability of action k in slot j, shape (K, slots); each column sums to 1.
    """

    spec: str
    table: Float64s
    by_row: bool = field(default=True, init=False)

    @classmethod
    def read(cls, spec: str, path: Path, key: str | None) -> "ActionTable":
        """Reads `[[...], ...]` or `{"action_dist": [[...], ...]}`; with `key`, `{"action_dist": {key: [[...], ...]}}`.

        Raises:
            InvalidInput: No such file, no JSON, no matrix, a value that is no probability, or a column that does not
                sum to 1 within 1e-6.
        """
        try:
            document = json.loads(read_text(path, "candidate"))
        except ValueError as error:
            raise InvalidInput("candidate", f"{path} is no JSON: {error}") from error
        return cls(spec, _checked(path, _selected(path, document, key)))

    def prepare(self, log: ReplayLog, track: Track) -> Prepared:  # noqa: ARG002 - nothing here takes time
        """The column of each row's slot.

        Raises:
            InvalidInput: The table has another number of actions than the log, or fewer slots.
        """
        actions, slots = self.table.shape
        rounds = log.rounds
        if actions != rounds.n_actions:
            raise InvalidInput(
                "candidate", f"the table has {actions} rows (actions), the log {rounds.n_actions} actions"
            )
        if rounds.position is None:
            if slots != 1:
                raise InvalidInput(
                    "candidate", f"the table has {slots} columns (slots), but the log has no slots: give 1"
                )
            return Prepared(log=log, probabilities=np.repeat(self.table.T, len(rounds), axis=0))
        needed = int(rounds.position.max(initial=0)) + 1
        if slots < needed:
            raise InvalidInput("candidate", f"the table has {slots} columns (slots), the log {needed} slots")
        return Prepared(log=log, probabilities=self.table.T[rounds.position])


def _selected(path: Path, document: Any, key: str | None) -> Any:  # noqa: ANN401 - JSON is anything until it is checked
    if isinstance(document, dict):
        if "action_dist" not in document:
            raise InvalidInput("candidate", f'{path} is an object without "action_dist"')
        document = document["action_dist"]
    if isinstance(document, dict):
        if key not in document:
            known = ", ".join(document)
            raise InvalidInput("candidate", f"{path} holds several tables; name one as table:{path}#NAME: {known}")
        return document[key]
    if key is not None:
        raise InvalidInput("candidate", f"{path} holds one table without a name; leave out #{key}")
    return document


def _checked(path: Path, document: Any) -> Float64s:  # noqa: ANN401 - as above
    try:
        table = np.array(document, dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise InvalidInput("candidate", f"{path} is no matrix of numbers: {error}") from error
    if table.ndim == 1:
        table = table[:, None]
    if table.ndim != _MATRIX or not table.size:
        raise InvalidInput("candidate", f"{path} has shape {table.shape}, expected actions x slots")
    for index in np.argwhere(~(np.isfinite(table) & (table >= 0))):
        action, slot = (int(number) for number in index)
        raise InvalidInput(
            "candidate", f"{path}: action {action}, slot {slot}: {table[action, slot]} is no probability"
        )
    totals = table.sum(axis=0)
    for slot, total in enumerate(totals):
        if abs(total - 1.0) > _SUM_TOLERANCE:
            raise InvalidInput("candidate", f"{path}: slot {slot} sums to {float(total)!r}, not to 1")
    return table
