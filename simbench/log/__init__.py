"""What a practitioner has: the feedback log, rated responses, and the user's own log and its columns."""
