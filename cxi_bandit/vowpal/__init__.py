"""The only room that touches Vowpal Wabbit: how a situation is encoded, and how models are made, loaded and scored."""

from cxi_bandit.vowpal.regression import RewardRegressor
from cxi_bandit.vowpal.room import VowpalRoom

__all__ = ["RewardRegressor", "VowpalRoom"]
