"""A shop with a known truth: who comes, what goes wrong, what each intervention really does, and what is reported."""
