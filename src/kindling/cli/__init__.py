"""The command line: help, checks and error messages, and instantiation of the config. Does not import torch."""
