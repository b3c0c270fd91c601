"""Write the TensorBoard event files of many members at once.

TensorBoard's own writer takes 45 us per record, most of it for a checksum in pure Python: half a second for a hundred
members with a hundred epochs. Here the checksums of all members are computed in one vectorized pass.
"""

import struct
import time
from collections.abc import Sequence
from itertools import groupby

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary

PLACEHOLDER = 1.2345e-30  # marks where a record's values go
PLACEHOLDER_BYTES = struct.pack("<f", PLACEHOLDER)
HEADER = 12  # bytes: the length and its checksum


def _table() -> np.ndarray:
    """Return the lookup table (256,) of CRC-32C (Castagnoli), for the reversed polynomial."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(0x82F63B78), table >> 1)
    return table


TABLE = _table()


def masked_crc(rows: np.ndarray) -> np.ndarray:
    """Return TFRecord's checksums (M,) of the bytes (M, L)."""
    crc = np.full(len(rows), 0xFFFFFFFF, dtype=np.uint32)
    for column in np.ascontiguousarray(rows.T):
        crc = TABLE[(crc ^ column) & 0xFF] ^ (crc >> np.uint32(8))
    crc = ~crc
    return ((crc >> np.uint32(15)) | (crc << np.uint32(17))) + np.uint32(0xA282EAD8)


def serialize(events: list[Event]) -> list[bytes]:
    """Return the record of each event; events of equal length are processed together."""
    bodies = [event.SerializeToString() for event in events]
    by_length: dict[int, list[int]] = {}
    for i, body in enumerate(bodies):
        by_length.setdefault(len(body), []).append(i)
    records = [b""] * len(bodies)
    for length, places in by_length.items():
        rows = np.frombuffer(b"".join(bodies[i] for i in places), np.uint8).reshape(-1, length)
        for i, row in zip(places, _framed(rows), strict=True):
            records[i] = row.tobytes()
    return records


def scalar_records(tags: Sequence[str], values: np.ndarray) -> list[np.ndarray]:
    """Return for each epoch the records (M, L), as bytes, of the scalars of M members.

    Args:
        values: (M, epochs, tags).
    """
    bodies = [_body(tags, epoch) for epoch in range(1, values.shape[1] + 1)]
    records: list[np.ndarray] = []
    for length, several in groupby(bodies, len):  # epoch numbers from 128 on take more bytes
        rows = np.stack([np.frombuffer(body, np.uint8) for body in several])  # (E, L)
        first = rows[0].tobytes()
        places: list[int] = []
        for _ in tags:
            places.append(first.index(PLACEHOLDER_BYTES, places[-1] + 4 if places else 0))
        part = values[:, len(records) : len(records) + len(rows)].swapaxes(0, 1)  # (E, M, tags)
        filled = np.repeat(rows[:, None], len(values), 1)  # (E, M, L)
        numbers = np.ascontiguousarray(part, "<f4").view(np.uint8)
        filled[..., np.add.outer(places, range(4)).ravel()] = numbers
        records += [*_framed(filled.reshape(-1, length)).reshape(len(rows), len(values), -1)]
    return records


def _body(tags: Sequence[str], epoch: int) -> bytes:
    summary = Summary(value=[Summary.Value(tag=tag, simple_value=PLACEHOLDER) for tag in tags])
    return Event(wall_time=time.time(), step=epoch, summary=summary).SerializeToString()


def _framed(rows: np.ndarray) -> np.ndarray:
    """Return records, with length and checksums, of the serialized events (M, L)."""
    m, length = rows.shape
    head = np.frombuffer(struct.pack("<Q", length), np.uint8)[None]
    out = np.empty((m, HEADER + length + 4), np.uint8)
    out[:, :8], out[:, 8:HEADER] = head, masked_crc(head).astype("<u4").view(np.uint8)
    out[:, HEADER:-4] = rows
    out[:, -4:] = masked_crc(rows).astype("<u4")[:, None].view(np.uint8)
    return out
