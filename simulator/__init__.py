"""The offline simulator: worlds with a known truth, replay of logged decisions, off-policy estimators and their intervals."""
