"""What a practitioner has: the feedback log, rated responses, and a log file of their own."""
