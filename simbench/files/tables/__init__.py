"""Tables: read whole and as they stand, and written with one more column and nothing else changed."""
