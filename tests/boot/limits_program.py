"""Runs inside the emulated machine, as root, on nothing but Python; prints what it has seen.

Everything there is slow, so it waits for things to be so, and lets the host's tests judge.
"""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

PROCSUP = "/opt/procsup/bin/procsup"
APP = Path("/srv/app")
SERVICE = "procsup-app.service"  # what procsup install makes
GROUP = Path("/sys/fs/cgroup/system.slice", SERVICE)
HOG = """\
import signal, sys
held = bytearray(int(sys.argv[1]) << 20)
for at in range(0, len(held), 4096):
    held[at] = 1
print("full", flush=True)
signal.pause()
"""
PROCFILE = """\
hog: exec python3 -I /srv/hog.py 150
ok: exec python3 -I /srv/hog.py 20
burn: exec python3 -I -c "while True: pass"
"""
UNIT = """\
[Service]
WorkingDirectory={folder}
ExecStart={before}/opt/procsup/bin/procsup start{after}
Environment=PROCSUP_STATE_DIR=/tmp/state-{name}
KillMode=mixed
RestartSec=0
{lines}
"""
os.environ.update(PATH="/opt/procsup/bin:/usr/sbin:/usr/bin:/sbin:/bin", HOME="/root", LANG="C.UTF-8", COLUMNS="200")
seen = {}


def run(*command, name="app"):
    environment = {**os.environ, **({} if name == "app" else {"PROCSUP_STATE_DIR": f"/tmp/state-{name}"})}
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=f"/srv/{name}").stdout


def instances():
    text = run(PROCSUP, "status", "--json")
    return {each["name"]: each for each in json.loads(text)["instances"]} if text else {}


def until(condition):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.1)  # the pace of asking
    return None


def groups(group=GROUP):
    return sorted(str(each.relative_to(group)).partition("/")[2] for each in group.glob("procsup-*/*") if each.is_dir())


def read(name):
    return next(GROUP.glob(f"procsup-*/{name}")).read_text().split()


def main_pid():
    return int(run("systemctl", "show", "--value", "--property=MainPID", SERVICE))


def add_project(name, settings, procfile=PROCFILE):
    folder = Path("/srv", name)
    folder.mkdir()
    (folder / "Procfile").write_text(procfile)
    (folder / "procsup.toml").write_text(settings)
    return folder


def add_app(name, settings, *lines, before="", after="", procfile=PROCFILE):
    folder = add_project(name, settings, procfile)
    unit = UNIT.format(folder=folder, name=name, before=before, after=after, lines="\n".join(lines))
    Path(f"/etc/systemd/system/{name}.service").write_text(unit)


def runs(name):
    return instances().get(name, {}).get("state") == "running"


def oom_of(name):
    found = instances().get(name)
    return found if found and (found["last_exit"] or {}).get("because") else None


Path("/srv/hog.py").write_text(HOG)
add_project("app", 'memory = "64M"\n[processes.burn]\ncpu = 0.2\n')
seen["installed"] = run(PROCSUP, "install")
seen["hog"] = until(lambda: oom_of("hog.1"))
until(lambda: "full" in run("journalctl", "-u", SERVICE, "-o", "cat"))
seen["ok"] = until(instances).get("ok.1")
shown = run("systemctl", "show", "--property=ActiveState,NRestarts,OOMPolicy,Result", SERVICE).split()
seen["the service after it"] = dict(line.split("=") for line in shown)
seen["groups"] = groups()
seen["unit has"] = (GROUP / "cgroup.procs").read_text().split()
seen["leaf has supervisor"] = str(main_pid()) in read("supervisor/cgroup.procs")
seen["memory of ok"] = read("ok.1/memory.max") + read("ok.1/memory.swap.max") + read("ok.1/memory.oom.group")
seen["cpu of burn"] = read("burn.1/cpu.max")
used, at = int(read("burn.1/cpu.stat")[1]), time.monotonic()
time.sleep(4)  # the length of the measurement
seen["cores of burn"] = (int(read("burn.1/cpu.stat")[1]) - used) / 1e6 / (time.monotonic() - at)

(APP / "procsup.toml").write_text(
    'memory = "10M"\n[processes.burn]\ncpu = 1.5\nmemory="70M"\n[processes.hog]\nmemory="300M"\n'
)
before = until(instances)
seen["plan"] = run(PROCSUP, "reload", "--plan")
(APP / "procsup.toml").write_text('memory = "48M"\n[processes.burn]\ncpu = 1.5\n[processes.hog]\nmemory = "300M"\n')
run(PROCSUP, "reload")
until(lambda: runs("hog.1"))
after = until(instances)
seen["kept over the reload"] = [name for name in ("ok.1", "burn.1") if before[name]["pid"] == after[name]["pid"]]
seen["after the reload"] = read("ok.1/memory.max") + read("burn.1/cpu.max") + read("hog.1/memory.max")

old, before = main_pid(), instances()
seen["upgraded"] = run(PROCSUP, "upgrade")
after = instances()
seen["over the upgrade"] = {
    "same": [name for name in ("ok.1", "burn.1") if before[name]["pid"] == after[name]["pid"]],
    "limits": read("ok.1/memory.max") + read("burn.1/cpu.max"),
    "groups": groups(),
    "in its group": read("ok.1/cgroup.procs") == [str(after["ok.1"]["pid"])],
    "service": run("systemctl", "show", "--property=MainPID,ActiveState,NRestarts", SERVICE).split(),
    "unit has": (GROUP / "cgroup.procs").read_text().split(),
}
run(PROCSUP, "scale", "ok=2", "--wait")
seen["a new one after it"] = read("ok.2/memory.max") + read("ok.2/memory.oom.group")
seen["a new one is in its group"] = read("ok.2/cgroup.procs") == [str(instances()["ok.2"]["pid"])]

os.kill(old, signal.SIGKILL)
until(lambda: main_pid() not in (0, old) and runs("ok.1") and runs("burn.1"))
seen["after kill -9"] = {"groups": groups(), "other pid": main_pid() != old, "limit": read("ok.1/memory.max")}
run("systemctl", "stop", SERVICE)
seen["after the stop"] = run("find", "/sys/fs/cgroup", "-name", "procsup-*").split()
seen["journal"] = run("journalctl", "-u", SERVICE, "-o", "cat", "--no-pager").splitlines()

add_app("user", 'memory = "64M"\n', "Delegate=yes", "User=nobody", procfile="hog: exec python3 -I /srv/hog.py 150\n")
add_app("busy", 'size = "S"\n', "Delegate=yes", before='/bin/sh -c "', after='; true"', procfile="ok: sleep 1000\n")
run("systemctl", "daemon-reload")
run("systemctl", "start", "user.service", "busy.service")


def said(name, words):
    lines = run("journalctl", "-u", f"{name}.service", "-o", "cat", "--no-pager").splitlines()
    return next((line for line in lines if words in line), None)


seen["of a user"] = until(lambda: said("user", "out of memory"))
seen["with others in the group"] = until(lambda: said("busy", "is not limited"))
seen["and nobody was moved"] = groups(Path("/sys/fs/cgroup/system.slice/busy.service"))
run("systemctl", "stop", "user.service", "busy.service")
seen["at the end"] = run("find", "/sys/fs/cgroup", "-name", "procsup-*").split()
print("\nRESULT " + json.dumps(seen), flush=True)
