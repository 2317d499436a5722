"""Rated responses from files. No third-party data is shipped."""
