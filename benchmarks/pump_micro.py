"""How fast the output path is by itself: writers of 100-byte lines through Pump and Console to a pipe.

    python benchmarks/pump_micro.py [WRITERS] [MILLIONS_OF_LINES]

Writers (`yes | head`) and reader (`wc -l`) are faster than we are, so that procsup's loop is what is measured.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time

from procsup.output.console import Console
from procsup.output.pump import Pump
from procsup.output.style import Style

LINE = "x" * 99


async def measure(writers: int, lines: int) -> None:
    loop = asyncio.get_running_loop()
    each = lines // writers
    reader, stdout = os.pipe()
    count = subprocess.Popen(["wc", "-l"], stdin=reader, stdout=subprocess.PIPE)
    os.close(reader)
    console = Console(loop, stdout, Style(), lambda: None)
    names = [f"writer.{number}" for number in range(1, writers + 1)]
    console.set_names(names, ["writer"])
    pump = Pump(loop, console)
    began, used = time.perf_counter(), time.process_time()
    children = []
    for name in names:
        output, end = os.pipe()
        child = subprocess.Popen(["/bin/sh", "-c", f"yes {LINE} | head -n {each}"], stdout=end, close_fds=True)
        os.close(end)
        children.append(child)
        pump.attach(name, "writer", "stdout", child.pid, output)
    while not all(map(pump.ended, names)):
        await asyncio.sleep(0.005)
    await console.flush_pending(10)
    console.close()
    os.close(stdout)
    seen = int(count.communicate()[0])
    took, cpu = time.perf_counter() - began, time.process_time() - used
    for child in children:
        child.wait()
    assert seen == each * writers, f"{each * writers - seen} lines lost"
    millions = seen / 1e6
    print(f"{writers} writers: {millions / took:.2f} million lines/s, {cpu / millions:.3f} CPU s per million")


if __name__ == "__main__":
    asyncio.run(measure(int(sys.argv[1] if len(sys.argv) > 1 else 4), int(float((sys.argv[2:] or ["4"])[0]) * 1e6)))
