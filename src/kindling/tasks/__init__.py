"""Tasks: the losses, predictions and metrics of logits."""
