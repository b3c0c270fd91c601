"""Optional parts of a run."""

import signal

import pytest

from kindling.training.tolerate import optional


@pytest.mark.parametrize("interruptible", [False, True])
def test_a_signal_waits_for_the_end_of_an_optional_part_unless_that_may_take_long(interruptible):
    ended = []

    def part() -> None:
        with optional("a part", interruptible=interruptible):
            signal.raise_signal(signal.SIGINT)
            ended.append("a part")

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a process in the background ignores the signal
    try:
        with pytest.raises(KeyboardInterrupt):
            part()
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended == ([] if interruptible else ["a part"])
