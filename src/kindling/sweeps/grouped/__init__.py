"""Train many jobs (the members of a group) as one batched model."""
