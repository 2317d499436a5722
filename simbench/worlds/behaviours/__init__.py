"""The ways of acting that come with simbench, a file each (entry points ``simbench.behaviours``)."""
