"""Studies: a grid of cells, run by an executor, kept as shards and scored into one long table."""
