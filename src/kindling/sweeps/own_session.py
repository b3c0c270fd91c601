"""Put the fork server of kindling.sweeps.pool, which alone imports this module, into a session of its own.

A signal to the sweep's process group (Ctrl-C, `timeout`, a batch system) then reaches only the sweep. It sends each of
its workers one signal, and waits until they have saved.
"""

import os

os.setsid()
