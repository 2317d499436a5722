"""What the commands do; :mod:`simbench.cli` only reads the arguments."""
