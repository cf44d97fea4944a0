"""Where things are kept: PostgreSQL behind the engine's ports, and the same promises in memory for simulations."""
