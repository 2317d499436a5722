"""Language models: text to embeddings, and the encoder itself trained on feedback."""
