"""A loss, and the loop that trains R replicates of it at once."""
