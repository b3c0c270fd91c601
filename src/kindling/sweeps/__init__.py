"""Sweeps: the jobs that -m asks for, their folders, and who trains them."""
