"""Can a reward fitted on this log be believed? Answered without any truth."""
