"""A study as one HTML page that contains all it shows, and fetches nothing."""
