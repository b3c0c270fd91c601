"""Train many jobs as one batched model."""
