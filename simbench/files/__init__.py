"""Tables, matrices and results on disk or behind a URL: whole or not at all."""
