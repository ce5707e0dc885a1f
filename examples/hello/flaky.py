"""Works for a while, then dies of a bug: procsup brings it back."""

from __future__ import annotations

import random
import time


def main() -> None:
    print("all is well")
    time.sleep(random.uniform(3, 8))
    raise RuntimeError("one of those days")


if __name__ == "__main__":
    main()
