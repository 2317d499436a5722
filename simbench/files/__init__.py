"""Tables, matrices and results on disk or behind a URL; files are written completely or not at all."""
