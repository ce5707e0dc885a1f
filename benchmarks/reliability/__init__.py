"""What holds when things break: procsup's own fault tests, and the same faults on honcho and supervisord.

`python -m benchmarks.reliability --help`. Each module of `scenarios` plays some of the faults; `faults.py` names all.
"""
