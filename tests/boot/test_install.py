"""`procsup install` on a machine that boots: what the unit promises is so, and `uninstall` takes it back."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

from procsup.export import systemd_words
from tests.boot.machine import Machine
from tests.boot.rootfs import PROCSUP
from tests.boot.service import FOLDER, UID, USER, VALUE, Service, files
from tests.faults.watching import Record, in_words

_PROCFILE = "web: exec sleep 64500\nworker: echo hello from $PS; exec sleep 64501\n"
_NAMES = ("web.1", "worker.1", "worker.2")
# What docs/systemd.md offers to who knows that the application can do without.
_TIGHTER = re.findall(r"^[A-Z]\w+=.*$", (Path(__file__).parents[2] / "docs/systemd.md").read_text(), re.MULTILINE)
# A folder for procsup itself in which a unit has to quote everything, too.
_ODD = "/opt/50% $x 'a' \"b\" \\c"


def test_a_service_of_a_user_from_its_install_to_its_end(machine: Machine, record_property: Record) -> None:
    service = Service(machine, _PROCFILE)
    machine.boot()
    service.give_to_user()
    before = files(machine, "/etc/systemd")
    machine.ok("ln", "-s", "/opt/procsup", _ODD)
    odd = (f"{_ODD}/bin/python3", "-m", "procsup")

    told = machine.ok(*odd, "install", "-d", FOLDER, "--name", "shop", "--set", f"API_KEY={VALUE}", "-t", "2")
    assert "procsup-shop.service runs now, and at every boot: web=1, worker=1" in told
    unit = (machine.root / "etc/systemd/system/procsup-shop.service").read_text()
    assert VALUE not in unit
    assert machine.ok("stat", "--format=%a %U", "/etc/procsup/shop.env").split() == ["600", "root"]
    assert machine.ok("systemd-analyze", "verify", service.unit) == ""
    running = service.until_running("web.1", "worker.1")
    environment = service.environment(running["web.1"]["pid"])
    assert environment["API_KEY"] == VALUE
    assert (environment["PWD"], environment["HOME"]) == (FOLDER, f"/home/{USER}")
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & set(environment)
    assert machine.ok("stat", "--format=%U", f"/proc/{running['web.1']['pid']}").strip() == USER
    service.until(lambda: service.property("StatusText") == "web 1/1, worker 1/1")

    # Whoever runs it finds it, and root does, from wherever they are; nobody else does.
    for find in (("--root", FOLDER), ("--app", service.folder.rpartition("/")[2])):
        assert json.loads(machine.ok(PROCSUP, "status", "--json", *find))["pid"] == service.main_pid()
        assert json.loads(service.as_user("status", "--json", *find))["pid"] == service.main_pid()
    assert str(service.main_pid()) in machine.ok(PROCSUP, "list")
    stranger = machine.run("/sbin/runuser", "-u", "nobody", "--", PROCSUP, "status", "--root", FOLDER, check=False)
    assert stranger.returncode == 3
    assert machine.ok(PROCSUP, "exec", "--root", FOLDER, "web.1", "id", "-un").strip() == USER

    # The same again changes nothing; something else is applied.
    pid = service.main_pid()
    arguments = ("install", "-d", FOLDER, "--name", "shop", "-t")
    assert "is as it was" in machine.ok(*odd, *arguments, "2")
    assert service.main_pid() == pid
    assert "was brought up to date" in machine.ok(*odd, *arguments, "1")
    assert service.environment(service.until_running("web.1", "worker.1", other_than=pid)["web.1"]["pid"])["API_KEY"]

    service.as_user("scale", "--root", FOLDER, "worker=2", "--wait")
    service.add_lines("[Service]", *_TIGHTER)
    begun = time.monotonic()
    machine.reboot()
    service.until_running(*_NAMES)
    record_property("installed: reboot, until all run again", in_words(time.monotonic() - begun))
    service.until(lambda: service.property("StatusText") == "web 1/1, worker 2/2")

    said = machine.ok("journalctl", "--unit", service.unit, "--output=json", "--no-pager", "PROCSUP_INSTANCE=worker.2")
    entry = json.loads(said.splitlines()[-1])
    assert (entry["MESSAGE"], entry["PROCSUP_TYPE"], entry["PRIORITY"]) == ("hello from worker.2", "worker", "6")

    assert service.property("NoNewPrivileges") == "yes"
    assert len(service.groups()) == 1 + len(_NAMES)

    machine.write("/etc/systemd/system/multi-user.target.wants/.keep", "")
    told = machine.ok(PROCSUP, "uninstall", "--name", "shop")
    assert "what stays: /home/deploy/.local/state/procsup/" in told
    assert f"/etc/systemd/system/{service.unit}.d" in told
    machine.ok("rm", "-r", f"/etc/systemd/system/{service.unit}.d")
    (machine.root / "etc/systemd/system/multi-user.target.wants/.keep").unlink()
    assert files(machine, "/etc/systemd") == before
    assert not (machine.root / "etc/procsup").exists()
    assert "procsup" not in machine.ok("ls", "/run")
    assert "procsup" not in machine.ok("systemctl", "list-units", "--all", "--no-pager")
    assert (machine.processes("sleep", "64500"), machine.processes("sleep", "64501")) == (0, 0)
    machine.power_off()


def _upgrade(service: Service) -> None:
    """To systemd it is the same service as before, and goes on to tell how it is."""
    machine, pid, instances = service.machine, service.main_pid(), service.instances()

    def own(name: str) -> str:
        return machine.ok("cat", f"/proc/{service.instances()[name]['pid']}/cgroup").strip()

    groups = {name: own(name) for name in _NAMES}
    assert all(group.endswith(f"/{name}") for name, group in groups.items())
    for _ in range(2):
        assert f"pid {pid} was procsup" in service.procsup("upgrade")
    alive = service.property("WatchdogTimestampMonotonic")
    assert {name: each["pid"] for name, each in service.instances().items()} == {
        name: each["pid"] for name, each in instances.items()
    }
    assert {name: own(name) for name in _NAMES} == groups
    assert re.search(
        rf"Active: active \(running\)(.*\n)* *Main PID: {pid} ", machine.ok("systemctl", "status", service.unit)
    )
    service.procsup("scale", "worker=3", "--wait")
    service.until(lambda: service.property("StatusText") == "web 1/1, worker 3/3")
    assert own("worker.3") == groups["worker.2"].replace("worker.2", "worker.3")
    told = ("journalctl", "--unit", service.unit, "--output=cat", "--no-pager", "PROCSUP_INSTANCE=worker.3")
    service.until(lambda: "hello from worker.3" in machine.ok(*told))
    service.procsup("scale", "worker=2", "--wait")
    assert sorted(each.rpartition("/")[2] for each in service.groups()[1:]) == sorted(_NAMES)
    machine.ok("systemctl", "reload", service.unit)
    service.until(lambda: service.property("WatchdogTimestampMonotonic") != alive)
    assert (service.main_pid(), service.property("NRestarts")) == (pid, "0")


def test_f46_killed_or_hanging_it_is_back_with_all_of_them_once(machine: Machine, record_property: Record) -> None:
    service = Service(machine, _PROCFILE, folder="/srv/app", name="app")
    service.add_lines("[Service]", "WatchdogSec=4", reload=False)
    machine.boot()
    machine.ok(PROCSUP, "install", "-d", service.folder, "-m", "worker=2")
    service.until_running(*_NAMES)
    _upgrade(service)
    killed, _ = service.main_pid(), machine.ok("systemctl", "kill", "--signal=KILL", "--kill-whom=main", service.unit)
    service.until_running(*_NAMES, other_than=killed)
    service.has_copies({"64500": 1, "64501": 2})

    service.until(lambda: service.property("ActiveState") == "active")  # while it starts it has longer
    hanging = service.main_pid()
    before = {each["pid"] for each in service.instances().values()}
    begun = time.monotonic()
    machine.ok("systemctl", "kill", "--signal=STOP", "--kill-whom=main", service.unit)
    after = {each["pid"] for each in service.until_running(*_NAMES, other_than=hanging).values()}
    record_property("WatchdogSec=4: from a loop that hangs until all run again", in_words(time.monotonic() - begun))
    assert not before & after
    service.has_copies({"64500": 1, "64501": 2})
    service.until(lambda: "Watchdog timeout" in service.journal())
    assert service.property("NRestarts") == "2"

    # What dies of one process is that process's matter.
    pid = service.main_pid()
    machine.ok("sh", "-c", f"kill -KILL {service.instances()['web.1']['pid']}")
    service.until(lambda: service.instances().get("web.1", {}).get("restarts") == 1)
    assert service.until_running(*_NAMES)["worker.1"]["pid"] in after
    assert service.main_pid() == pid
    machine.power_off()


def test_what_systemctl_says_is_done(machine: Machine, record_property: Record) -> None:
    slow = "sleep 4.5; echo serving; exec sleep 64505"
    deaf = "trap '' TERM; echo deaf; while :; do sleep 1; done"
    service = Service(machine, f"{_PROCFILE}slow: {slow}\n", folder="/srv/app", name="app")
    # Less time than the application needs: procsup asks for more.
    service.add_lines("[Service]", "TimeoutStartSec=4", "TimeoutStopSec=2", reload=False)
    machine.write("/srv/app/procsup.toml", 'grace = 3\n[processes.slow]\ncount = 0\nready = "log serving"\n')
    machine.boot()
    machine.ok(PROCSUP, "install", "-d", service.folder)
    pids = {name: each["pid"] for name, each in service.until_running("web.1", "worker.1").items()}

    machine.write("/srv/app/Procfile", f"{_PROCFILE}slow: {slow}\ndeaf: {deaf}\n")
    machine.ok("systemctl", "reload", service.unit)
    found = service.until_running("web.1", "worker.1", "deaf.1")
    assert {name: found[name]["pid"] for name in pids} == pids
    machine.write("/srv/app/Procfile", "no colon\n")
    assert machine.run("systemctl", "reload", service.unit, check=False).returncode != 0
    service.until(lambda: "no colon" in service.journal() or "Procfile:1:" in service.journal())
    assert {name: each["pid"] for name, each in service.instances().items()} == pids | {
        "deaf.1": found["deaf.1"]["pid"]
    }
    assert service.property("ActiveState") == "active"

    service.procsup("upgrade")
    assert {name: service.instances()[name]["pid"] for name in pids} == pids
    begun = time.monotonic()
    machine.ok("systemctl", "stop", service.unit)
    took = time.monotonic() - begun
    record_property("systemctl stop, with one that is deaf and a grace of 3 s", in_words(took))
    assert 3 <= took < 3 + 10
    assert (service.property("Result"), service.property("ActiveState")) == ("success", "inactive")
    assert service.groups() == []
    service.until(lambda: re.search(r"deaf\.1 killed after [3-9](\.\d)? s", service.journal()) is not None)
    assert (machine.processes("sleep", "64500"), machine.processes("sleep", "64501")) == (0, 0)

    # `procsup shutdown` is what a person wants, and no failure to be mended.
    machine.write("/srv/app/Procfile", f"{_PROCFILE}bad: exit 3\nslow: {slow}\n")
    machine.write("/srv/app/procsup.toml", '[processes.slow]\nready = "log serving"\n')
    said = machine.run(PROCSUP, "install", "-d", service.folder, check=False)
    assert said.returncode == 1
    assert "not up: bad.1: exit 3" in said.stderr
    service.until(lambda: "web 1/1, worker 1/1, bad 0/1, slow 1/1; bad.1: exit 3" in service.property("StatusText"))
    service.procsup("shutdown")
    service.until(lambda: service.property("ActiveState") == "inactive")

    # What is not ours is left alone.
    machine.write("/etc/systemd/system/procsup-other.service", "[Service]\nExecStart=/bin/true\n")
    machine.write("/srv/other/Procfile", "web: exec sleep 64502\n")
    for command in ("install", "uninstall"):
        said = machine.run(PROCSUP, command, "-d", "/srv/other", "--name", "other", check=False)
        assert said.returncode == 1
        assert "procsup-other.service" in said.stderr
    said = machine.run(PROCSUP, "install", "-d", "/srv/other", "--name", "app", check=False)
    assert "procsup-app.service runs /srv/app; choose another name" in said.stderr
    machine.ok("chmod", "700", "/srv/other")
    said = machine.run(PROCSUP, "install", "-d", "/srv/other", "--name", "third", "--as", "nobody", check=False)
    assert "user nobody may not enter /srv/other; the application is there" in said.stderr
    machine.ok("systemd-run", "--unit=hand", "--collect", PROCSUP, "start", "-d", "/srv/other")
    service.until(lambda: machine.run(PROCSUP, "status", "-d", "/srv/other", check=False).returncode == 0)
    said = machine.run(PROCSUP, "install", "-d", "/srv/other", "--name", "third", check=False)
    assert "a supervisor runs already for /srv/other; end it first: procsup shutdown" in said.stderr
    assert not (machine.root / "etc/systemd/system/procsup-third.service").exists()

    # Who has no home of his own keeps the formation all the same.
    machine.write("/srv/homeless/Procfile", "web: exec sleep 64503\n")
    machine.ok(PROCSUP, "install", "-d", "/srv/homeless", "--as", "nobody", "-m", "web=2")
    machine.ok("systemctl", "restart", "procsup-homeless")
    service.has_copies({"64503": 2})
    assert "what stays: /var/lib/procsup-homeless/" in machine.ok(PROCSUP, "uninstall", "-d", "/srv/homeless")
    machine.power_off()


_TELL = """\
import json, os, sys
told = {"words": sys.argv[1:], "folder": os.getcwd(), **{name: os.environ.get(name) for name in ("A", "B", "C")}}
open("/srv/told.json", "w").write(json.dumps(told))
"""


def test_what_is_said_to_systemd_means_itself(machine: Machine) -> None:
    folder = f"{FOLDER} *?[x] "
    nasty = f"{VALUE}\nnext line\ttab\\"
    words = ["", " ", ";", "\\;", "$A", "${A}", "$$", "%n", "%%", "-x", "é", "'", '"', "\\", nasty, "\x01\x7f"]
    program = f'{folder}/it\'s "python"'
    machine.write(f"{folder}/tell.py", _TELL)
    machine.write(f"{folder}/a.env ", systemd_words.environment_file({"B": nasty, "C": " blank "}))
    lines = (
        "[Service]",
        "Type=oneshot",
        f"WorkingDirectory={systemd_words.path(folder)}",
        f"Environment={systemd_words.environment('A', nasty)}",
        f"EnvironmentFile={systemd_words.pattern(f'{folder}/a.env ')}",
        f"ExecStart={systemd_words.exec_line([program, '-I', 'tell.py', *words])}",
        f"Description={systemd_words.sentence(VALUE)}",
    )
    machine.write("/etc/systemd/system/words.service", "\n".join(lines) + "\n")
    machine.boot()
    machine.ok("ln", "-s", "/usr/bin/python3", program)
    machine.ok("systemctl", "start", "words.service")
    told = json.loads((machine.root / "srv/told.json").read_text())
    assert told == {"words": words, "folder": folder, "A": nasty, "B": nasty, "C": " blank "}
    machine.power_off()


def test_under_a_systemd_of_a_user_s_own(machine: Machine) -> None:
    service = Service(machine, _PROCFILE, folder="/srv/app", name="app")
    # Without PAM in this small system nobody tells the user's systemd where it may listen.
    lines = "[Service]\nPAMName=\nEnvironment=XDG_RUNTIME_DIR=/run/user/%i\n"
    machine.write("/etc/systemd/system/user@.service.d/own.conf", lines)
    machine.boot()
    service.give_to_user()
    said = machine.run("/sbin/runuser", "-u", USER, "--", PROCSUP, "install", "--user", "-d", "/srv/app", check=False)
    assert "no systemd of yours can be reached" in said.stderr
    said = machine.run("/sbin/runuser", "-u", USER, "--", PROCSUP, "install", "-d", "/srv/app", check=False)
    assert "only root can do this for the system: sudo /opt/procsup/bin/procsup install" in said.stderr
    machine.ok("loginctl", "enable-linger", USER)
    there = ("test", "-S", f"/run/user/{UID}/systemd/private")
    service.until(lambda: machine.run(*there, check=False).returncode == 0)
    home = ("/sbin/runuser", "-u", USER, "--", "env", f"HOME=/home/{USER}")
    before = files(machine, f"/home/{USER}")
    told = machine.ok(*home, PROCSUP, "install", "--user", "-d", "/srv/app", "--set", "A=b")
    assert "procsup-app.service runs now" in told
    machine.reboot()

    def all_run() -> bool:
        done = machine.run(*home, PROCSUP, "status", "-d", "/srv/app", "--json", check=False)
        states = [each["state"] for each in json.loads(done.stdout)["instances"]] if done.returncode == 0 else []
        return states == ["running", "running"]

    service.until(all_run)
    assert "procsup-app" in machine.ok(*home, "ls", f"/home/{USER}/.config/systemd/user")
    machine.ok(*home, PROCSUP, "uninstall", "--user", "-d", "/srv/app")
    assert (machine.processes("sleep", "64500"), machine.processes("sleep", "64501")) == (0, 0)
    left = {each for each in files(machine, f"/home/{USER}") - before if "/.local/state" not in each}
    assert not [each for each in left if "procsup" in each]
    machine.power_off()
