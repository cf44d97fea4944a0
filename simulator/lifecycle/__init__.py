"""Lifecycles: promotions walked by the real engine's verbs through a world whose truth is known, and may change."""

from simulator.lifecycle.shop import Calendar, Met, Shop

__all__ = ["Calendar", "Met", "Shop"]
