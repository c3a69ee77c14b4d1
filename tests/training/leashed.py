"""A program on a leash, for test_leash: says that it has begun, and puts its things away when it is told to end."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

from training.leash import wear_leash


def main() -> None:
    """Wait for SIGTERM."""
    folder, ended = Path(sys.argv[1]), []
    wear_leash()
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    (folder / "begun").touch()
    while not ended:
        time.sleep(0.01)
    time.sleep(0.3)
    (folder / "put away").touch()
    sys.exit(3)


if __name__ == "__main__":
    main()
