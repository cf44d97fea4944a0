"""What attacks the service in tests: raw requests, mutated bytes, cases drawn from its own schema."""
