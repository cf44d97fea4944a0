"""Sequential evidence: bets, contrasts, detectors, the canary's claim. Pure; valid however often it is looked at."""
