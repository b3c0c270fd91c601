"""What stands between the command line and a run: help, refusals, and the calls that the config describes. No torch."""
