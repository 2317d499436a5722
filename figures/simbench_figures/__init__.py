"""Figures, one module each: from a results table to a figure. simbench finds them by entry point."""
