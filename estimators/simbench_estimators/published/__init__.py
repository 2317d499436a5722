"""Estimators as public research code around ImplicitRM writes them, where it departs from their sources.

For the reproduction alone, under names that end in ``@published``; see ``docs/protocols.md``.
"""
