"""A grid of cells: configuration, grants, protocols, executors, shards, table, conformance kit."""
