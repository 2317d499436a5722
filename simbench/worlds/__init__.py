"""What worlds are made of: their configuration, presets, responses, ordinal ratings."""
