"""An extra: pictures of what a network has learned, in TensorBoard and as PNG in the run's folder.

`pictures=final` (default) draws once, after training, with the best weights; `series` also at epochs 1, 2, 3, 5, 8, 13
and so on, so that TensorBoard's slider shows a film; `none` draws nothing. Afterwards: `python -m kindling.pictures
run=<folder>`. Every activation with its derivative: `python -m kindling.pictures activations`.
"""
