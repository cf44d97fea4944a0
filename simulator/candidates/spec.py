"""SPEC to candidate: `uniform`, `table:FILE.json[#NAME]`, `manifest:FILE.toml`, `model:POLICY@VERSION`."""

import re
from dataclasses import dataclass
from pathlib import Path

from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.identifiers import ModelVersion, PolicyName
from cxi_bandit.engine.ports import ModelRoom, Registry
from simulator.candidates.candidate import Candidate
from simulator.candidates.fixed import ActionTable, Uniform
from simulator.candidates.manifest import DEFAULT_TRAIN_FRACTION, ManifestCandidate
from simulator.candidates.model import ModelCandidate
from simulator.candidates.scoring import Scoring

FORMS = "uniform, table:FILE.json, manifest:FILE.toml or model:POLICY@VERSION"
_MODEL = re.compile(r"^(?P<policy>[a-z][a-z0-9-]*)@(?P<version>[1-9][0-9]*)$")


@dataclass(frozen=True, eq=False, kw_only=True)
class Parts:
    """What candidates are made with.

    Args:
        train_fraction: Share of the log a manifest candidate is trained on.
        scoring: How rows are scored; None takes the defaults.
    """

    registry: Registry
    room: ModelRoom
    train_fraction: float = DEFAULT_TRAIN_FRACTION
    scoring: Scoring | None = None


def parse_candidate(spec: str, parts: Parts) -> Candidate:
    """The candidate a SPEC names, its files read and its model loaded.

    Raises:
        InvalidInput: The SPEC has no known form, or its file cannot be used.
        NotFound: There is no such model.
    """
    kind, _, rest = spec.partition(":")
    if kind == "uniform" and not rest:
        return Uniform(spec)
    if kind == "table" and rest:
        file, _, name = rest.partition("#")
        return ActionTable.read(spec, Path(file), name or None)
    if kind == "manifest" and rest:
        return ManifestCandidate.read(spec, Path(rest), parts.room, parts.train_fraction, parts.scoring)
    if kind == "model":
        match = _MODEL.match(rest)
        if match is None:
            raise InvalidInput("candidate", f"{spec!r} names no model; write model:POLICY@VERSION, VERSION a number")
        policy, version = PolicyName(match["policy"]), ModelVersion(int(match["version"]))
        return ModelCandidate.load(spec, policy, version, parts.registry, parts.room, parts.scoring)
    raise InvalidInput("candidate", f"{spec!r} is none of {FORMS}")
