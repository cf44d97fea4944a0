"""Decides whether and how to intervene when a shopping experience goes wrong, and learns from what happened next."""
