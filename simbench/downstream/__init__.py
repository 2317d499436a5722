"""What a biased reward does to a policy: exactly, on finite sets of responses, without a language model."""
