"""Lifecycles: promotions walked by the real engine's verbs through a world whose truth is known, and may change."""

from simulator.lifecycle.course import Harm, harm, watched, weighed_weekly
from simulator.lifecycle.shop import Calendar, Met, Shop
from simulator.lifecycle.terms import KEEN, WORLDS, terms

__all__ = ["KEEN", "WORLDS", "Calendar", "Harm", "Met", "Shop", "harm", "terms", "watched", "weighed_weekly"]
