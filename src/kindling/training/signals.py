"""Ctrl-C and SIGTERM while a run trains, and SIGTERM in its test; otherwise kindling.cli.entry handles them."""

import signal
import threading
from types import FrameType
from typing import Any


class Signals:
    """Handlers that note the first signal, so that training can end after a step, and raise at the second.

    Attributes:
        received: the number of the signal, or None.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self.before: dict[int, Any] = {}  # number -> earlier handler

    def defer(self) -> None:
        """Note the first SIGINT or SIGTERM; raise KeyboardInterrupt at the second."""
        self._handle(self._note, signal.SIGINT, signal.SIGTERM)

    def raise_on_sigterm(self) -> None:
        """Raise KeyboardInterrupt at SIGTERM, too."""
        self._handle(self._raise, signal.SIGTERM)

    def restore(self) -> None:
        """Restore the handlers that were replaced."""
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _handle(self, handler: Any, *numbers: int) -> None:
        if threading.current_thread() is threading.main_thread():  # no other thread can set handlers
            self.before = {number: signal.signal(number, handler) for number in numbers}

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            raise KeyboardInterrupt
        self.received = number

    def _raise(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        raise KeyboardInterrupt
