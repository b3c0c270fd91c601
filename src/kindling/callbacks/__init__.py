"""What a line of YAML switches on while a run trains."""
