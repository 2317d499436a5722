"""One script a figure: a results table in, a figure out. simbench finds them by entry point."""
