"""Guests: code from outside this distribution, run in a process that holds a log and nothing else."""
