"""From text to embeddings, fine-tuned reward models, and folders that transformers loads."""
