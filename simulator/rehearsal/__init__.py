"""Rehearsals: the shopping world on a data directory of one's own, as days that have passed or as shoppers right now.

What a newcomer needs to walk the whole way of a policy in minutes: weeks of a log, and traffic for a canary. Nothing is
imitated but shoppers and, for days that have passed, the clock.
"""
