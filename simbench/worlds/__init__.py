"""Worlds: a known reward and how users act on it. ``draw()`` gives a log and its truth."""
