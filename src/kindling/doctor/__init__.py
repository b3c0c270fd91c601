"""Diagnosis of training problems: measurements, rules, and a command for each suggestion."""
