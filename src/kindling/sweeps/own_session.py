"""The fork server of kindling.sweeps.pool imports this, and nobody else.

A signal to the sweep's process group (Ctrl-C, `timeout`, a batch system) then reaches the sweep alone. It sends each of
its workers one signal, and waits until they have saved.
"""

import os

os.setsid()
