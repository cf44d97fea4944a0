"""The HTTP contract, version 1: what surfaces, senders and operators call."""
