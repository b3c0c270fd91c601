"""python -m kindling <command>: a module, or a folder with command.py, for each."""
