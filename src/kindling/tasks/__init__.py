"""Tasks: losses, predictions and metrics, computed from logits."""
