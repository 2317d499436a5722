"""A few explicit labels: means and calibration with valid intervals, and which responses to label next."""
