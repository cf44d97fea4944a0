"""The demo: the service as a user starts it, a shop's traffic over HTTP, and what can be proved about it afterwards."""
