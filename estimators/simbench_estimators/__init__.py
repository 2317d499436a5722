"""Estimators of the reward: one small file a family. simbench finds them by entry point."""
