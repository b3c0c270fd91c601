"""IDX files like those of MNIST, and their names."""

import struct

NAMES = [f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]


def idx(array):
    return struct.pack(f">BBBB{array.dim()}i", 0, 0, 8, array.dim(), *array.shape) + bytes(array.flatten().tolist())
