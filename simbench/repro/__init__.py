"""The reproduction of the paper: steps that measure, claims that judge, a document, and its check."""
