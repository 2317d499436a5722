"""Puts the stand-ins for estimators on the path."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode: helpers are no package
