"""``python -m simbench``."""

from simbench.cli import main

main()
