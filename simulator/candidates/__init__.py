"""Candidates: who is evaluated on a log, named by a SPEC, each giving its probabilities for every logged row."""

from simulator.candidates.candidate import Candidate, Prepared
from simulator.candidates.fixed import ActionTable, Uniform
from simulator.candidates.manifest import ManifestCandidate
from simulator.candidates.model import ModelCandidate
from simulator.candidates.scoring import Scoring
from simulator.candidates.shelf import ScoreShelf
from simulator.candidates.spec import Parts, parse_candidate

__all__ = [
    "ActionTable",
    "Candidate",
    "ManifestCandidate",
    "ModelCandidate",
    "Parts",
    "Prepared",
    "ScoreShelf",
    "Scoring",
    "Uniform",
    "parse_candidate",
]
