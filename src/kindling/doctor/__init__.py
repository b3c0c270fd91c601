"""What ails a run: measurements, rules, and a command for each suggestion."""
