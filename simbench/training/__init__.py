"""The contract of an estimator, the pointwise losses, and the loop that trains R replicates at once."""
