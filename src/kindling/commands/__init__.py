"""The commands of `python -m kindling <command>`: each is a module, or a folder with command.py."""
