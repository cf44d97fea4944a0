"""The offline simulator: worlds with known truth, replay of logged decisions, off-policy estimators and intervals."""
