"""An extra: one HTML file of a run or a sweep, to send to others. `python -m kindling.report run=<folder or sweep>`"""
