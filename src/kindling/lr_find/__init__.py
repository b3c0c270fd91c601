"""An extra: looks for a learning rate. `python -m kindling.lr_find data=ring optimizer=sgd`, with train.py's words"""
