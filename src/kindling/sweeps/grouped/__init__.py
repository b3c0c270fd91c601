"""Many jobs trained as one batched model."""
