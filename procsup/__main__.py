"""Where the `procsup` command and `python -m procsup` begin; loads the rest where Ctrl-C is already looked after."""

from __future__ import annotations

import gc


def main() -> int:
    gc.disable()  # nothing is garbage that early: looking for it costs a twentieth of the start
    try:
        from procsup.cli.main import run

        return run()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    raise SystemExit(main())
