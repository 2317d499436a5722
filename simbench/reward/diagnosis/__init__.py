"""Diagnoses whether a reward fitted on a log can be believed, without any truth."""
