"""Rewards on text: embeddings, fine-tuned reward models, and folders that transformers loads."""
