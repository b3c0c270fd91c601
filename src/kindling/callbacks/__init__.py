"""Callbacks that options of a run switch on."""
