"""What a log says of its reward where it does not identify it: bounds, and how far they bend."""
