"""The console: pages for people, over the same engine and behind the same doors as the API.

Each page is a module of its own, mounted by `routes`; what all of them share is in `pages` (templates), `charts`,
`formats`, `session` and `security`.
"""
