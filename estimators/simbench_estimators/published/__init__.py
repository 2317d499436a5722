"""Estimators as public research code around ImplicitRM writes them, where it departs from their sources.

They serve the reproduction only, under names that end in ``@published``; see ``docs/protocols.md``.
"""
