"""Draw figures with matplotlib, and write them to files and loggers."""
