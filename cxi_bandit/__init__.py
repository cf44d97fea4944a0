"""cxi-bandit: decide whether and how to intervene when a shopping experience goes wrong, and learn from what happened next."""
