"""The queue's workers: draw a poster for each order, in the scratch folder, and have a mail written about it."""

from __future__ import annotations

import os
import random
from pathlib import Path

import messages
import posters

SCRATCH = Path(os.environ["PROCSUP_MOUNT_SCRATCH"])


def draw(number: int) -> int:
    """A poster too large for the memory, so on disk; its size in bytes."""
    sketch = SCRATCH / f"{number}.pgm"
    with sketch.open("wb") as file:
        file.write(b"P5 256 256 255\n")
        for _ in range(256):
            file.write(random.randbytes(256))
    size = sketch.stat().st_size
    sketch.unlink()
    return size


def main() -> None:
    (SCRATCH / "used-by").write_text(os.environ["PS"])
    with posters.connect() as database, messages.connect() as broker:
        channel = messages.open_channel(broker)
        print(f"TYPE is {os.environ['TYPE']}, waiting for orders")
        for order in messages.received(channel, messages.ORDERS):
            number = order["number"]
            posters.add(database, number, draw(number))
            messages.send(channel, messages.MAILS, {"number": number, "to": order["to"]})
            print(f"drew poster {number}")
    print("bye")


if __name__ == "__main__":
    main()
