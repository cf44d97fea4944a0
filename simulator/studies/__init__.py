"""Studies: what the simulator measured about estimators, intervals and the gate, each runnable on its own."""
