"""Executors: they run cells in processes of this machine, or on a cluster."""
