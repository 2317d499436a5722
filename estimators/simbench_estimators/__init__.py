"""Estimators of the reward, one small file per family; simbench finds them through entry points."""
