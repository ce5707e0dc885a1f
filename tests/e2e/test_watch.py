"""`watch` in procsup.toml: who changes a file sees the new one run."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.e2e.app import App, Supervisor
from tests.e2e.refusal import refused
from tests.faults.needs import needs
from tests.faults.watching import NOISE, Record, in_words, ticks_in, until, within

pytestmark = [
    needs(find_spec("watchfiles") is not None, "watchfiles is not installed: pip install procsup[watch]"),
    needs(Path("/proc/self/fdinfo").is_dir(), "it asks /proc what is looked at"),
]

READY = "sh -c 'echo ready $$; exec sleep 1000'"


def looks_at(pid: int) -> int:
    """How many folders the kernel has been told to look at for a process."""
    count = 0
    for each in Path(f"/proc/{pid}/fdinfo").iterdir():
        try:
            count += each.read_text().count("inotify wd:")
        except OSError:
            continue  # closed meanwhile
    return count


def has_loaded_watchfiles(pid: int) -> bool:
    return "_rust_notify" in Path(f"/proc/{pid}/maps").read_text()


def start(app: App, settings: str, procfile: str = f"web: {READY}\n", *arguments: str) -> Supervisor:
    app.write("Procfile", procfile)
    app.write("procsup.toml", settings)
    supervisor = app.start(*arguments)
    supervisor.wait_for("ready")
    until(lambda: looks_at(supervisor.pid) > 0)
    return supervisor


def change(app: App, *names: str) -> None:
    for name in names:
        path = app.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{time.monotonic()}\n")


def restarts(supervisor: Supervisor) -> list[str]:
    return [line.partition("| ")[2] for line in supervisor.text.splitlines() if " changed" in line]


def test_a_changed_file_restarts_its_types_in_their_own_way_and_nobody_else(app: App) -> None:
    web = """sh -c 'trap "echo finished; exit" INT; echo ready; while :; do sleep 0.01; done'"""
    (app.folder / "app").mkdir()
    supervisor = start(
        app, '[processes.web]\nwatch = ["*.py"]\nstop = "INT"\n', f"web: {web}\nworker: sleep 1000\n", "-m", "web=2"
    )
    before = app.until_running("web.1", "web.2", "worker.1")
    supervisor.wait_for(r"web\.\d +\| ready", 2)
    until(lambda: looks_at(supervisor.pid) == 2)  # at the root, and at what is below it
    change(app, "app/models.py")
    supervisor.wait_for(r"procsup +\| app/models\.py changed; restarting web$")
    supervisor.wait_for(r"web\.\d +\| finished$", 2)
    supervisor.wait_for(r"web\.\d +\| ready", 4)
    after = app.until_running("web.1", "web.2", "worker.1")
    assert {name for name in after if after[name]["pid"] != before[name]["pid"]} == {"web.1", "web.2"}
    supervisor.stop()


def test_many_files_at_once_are_one_restart(app: App) -> None:
    supervisor = start(app, 'watch = ["**/*.py"]\n')
    began = time.monotonic()
    change(app, *(f"app/part{number}.py" for number in range(20)))
    time.sleep(0.03)  # as long as a formatter may think about the next file
    change(app, *(f"app/part{number}.py" for number in range(20, 40)))
    writing_took = time.monotonic() - began
    supervisor.wait_for("ready", 2)
    change(app, "z.py")
    supervisor.wait_for("z.py changed")
    told = [line.removesuffix("; restarting web") for line in restarts(supervisor)]
    # A machine that is too busy to write them within the pause gets more restarts, rightly.
    assert told == ["app/part0.py and 39 more changed", "z.py changed"] or writing_took > 0.09
    supervisor.stop()


def test_a_file_that_came_to_be_changed_or_went_counts_and_so_does_a_whole_folder(app: App) -> None:
    (app.folder / "templates").mkdir()
    change(app, "templates/a.html", "other/a.html", "new/d/e.html")
    supervisor = start(app, 'watch = ["templates/**"]\n')
    for number, happens in enumerate(
        (
            lambda: change(app, "other/a.html", "templates/b/c.html"),
            lambda: change(app, "templates/a.html"),
            lambda: (app.folder / "templates/a.html").unlink(),
            lambda: shutil.rmtree(app.folder / "templates"),
            lambda: (app.folder / "new").rename(app.folder / "templates"),
        ),
        2,
    ):
        happens()
        supervisor.wait_for("ready", number)
        if not (app.folder / "templates").exists():
            until(lambda: looks_at(supervisor.pid) == 4)  # at the root, as there is no such folder, and all below it
    told = [line.removesuffix("; restarting web") for line in restarts(supervisor)]
    assert told[:3] == ["templates/b/c.html changed", "templates/a.html changed", "templates/a.html changed"]
    assert told[4] == "templates/d/e.html changed"
    supervisor.stop()


def test_what_tools_and_editors_leave_about_changes_nothing(app: App) -> None:
    supervisor = start(app, 'watch = "**"\nlog_dir = "log"\n')
    change(app, ".git/index", "node_modules/a/index.js", "app/__pycache__/a.py", "a.pyc", ".a.py.swp", "4913", "a.py~")
    temporary = app.folder / "half-written"
    temporary.touch()
    temporary.unlink()
    change(app, "log/web.1.log")  # else each line would be a restart, and each restart a line
    change(app, "z.txt")
    supervisor.wait_for("z.txt changed")
    assert restarts(supervisor) == ["z.txt changed; restarting web"]
    supervisor.stop()


def test_a_broken_app_is_tried_again_with_the_next_change_at_once(app: App) -> None:
    change(app, "app.py")
    procfile = f"web: sh -c 'grep -q right app.py && exec sleep 1000'\nother: {READY}\n"
    supervisor = start(app, '[processes.web]\nwatch = "app.py"\n', procfile)
    supervisor.wait_for(r"web\.1 ended: .* next try in (3\.[6-9]|4|4\.\d) s")  # a long wait
    before = app.instances()["web.1"]
    assert before["state"] == "backoff"
    app.write("new", "right").rename(app.folder / "app.py")
    after = app.until_running("web.1", "other.1")["web.1"]
    assert after["restarts"] == before["restarts"], "it was not the change that brought it back"
    supervisor.stop()


def test_who_was_given_up_is_tried_again_and_who_was_stopped_by_hand_is_not(app: App) -> None:
    change(app, "app.py")
    supervisor = start(
        app,
        'watch = "app.py"\nmax_restarts = 0\n',
        f"web: sh -c 'grep -q right app.py && exec sleep 1000'\nworker: {READY}\n",
    )
    supervisor.wait_for("given up")
    app.ok("stop", "worker")
    app.write("app.py", "right")
    supervisor.wait_for("app.py changed; restarting web$")
    found = app.until(lambda found: found["web.1"]["state"] == "running")
    assert found["worker.1"]["state"] == "stopped"
    supervisor.stop()


def test_a_reload_changes_what_is_watched_and_restarts_nobody_for_it(app: App) -> None:
    supervisor = start(app, 'watch = "*.py"\n')
    pid = app.instances()["web.1"]["pid"]
    (app.folder / "css").mkdir()
    until(lambda: looks_at(supervisor.pid) == 2)
    app.write("procsup.toml", 'watch = "css/*.css"\n')
    app.ok("reload")
    until(lambda: looks_at(supervisor.pid) == 1)
    assert app.instances()["web.1"]["pid"] == pid
    change(app, "a.py", "css/a.css")
    supervisor.wait_for("ready", 2)
    assert restarts(supervisor) == ["css/a.css changed; restarting web"]
    app.write("procsup.toml", "")
    app.ok("reload")
    until(lambda: looks_at(supervisor.pid) == 0)
    supervisor.stop()


def test_with_no_watch_and_where_nobody_wants_it_nothing_of_it_is_loaded(app: App) -> None:
    app.write("Procfile", f"web: {READY}\n")
    for settings, arguments in (("watch = '*.py'\n", ("--no-watch",)), ("grace = 5\n", ())):
        app.write("procsup.toml", settings)
        supervisor = app.start(*arguments)
        app.until_running("web.1")
        assert not has_loaded_watchfiles(supervisor.pid)
        assert looks_at(supervisor.pid) == 0
        supervisor.stop()


def without_watchfiles(app: App, *arguments: str) -> list[str]:
    program = (
        "import sys; sys.modules['watchfiles'] = None; sys.argv[0] = 'procsup'\n"
        "from procsup.__main__ import main; sys.exit(main())"
    )
    return [sys.executable, "-c", program, *arguments]


def test_where_watchfiles_is_missing_nothing_starts_and_what_to_install_is_said(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.e2e.app.COMMAND", without_watchfiles(app))
    app.write("Procfile", f"web: {READY}\n")
    app.write("procsup.toml", "grace = 5\n[processes.web]\nwatch = '*.py'\n")
    said = refused(app.run("start"), 2)
    assert "procsup.toml:3: watch needs watchfiles: pip install 'procsup[watch]'" in said
    assert "--no-watch" in said
    assert said == refused(app.run("install", "--print"), 2)
    checked = app.run("check")
    assert checked.returncode == 0
    assert "procsup: warning: procsup.toml:3: watch needs watchfiles" in checked.stderr
    supervisor = app.start("--no-watch")
    supervisor.wait_for("ready")
    supervisor.stop()


def test_a_reload_that_would_need_it_warns(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.e2e.app.COMMAND", without_watchfiles(app))
    app.write("Procfile", f"web: {READY}\n")
    supervisor = app.start()
    app.until_running("web.1")
    app.write("procsup.toml", "watch = '*.py'\n")
    app.ok("reload")
    supervisor.wait_for(r"warning: .*pip install 'procsup\[watch\]'")
    assert supervisor.stop() == 0


def test_watching_costs_next_to_nothing_and_does_not_hold_up_the_end(app: App, record_property: Record) -> None:
    supervisor = start(app, 'watch = "*.py"\n')
    app.until_running("web.1")

    def times_woken() -> int:
        text = Path(f"/proc/{supervisor.pid}/task/{supervisor.pid}/status").read_text()
        return sum(int(line.split()[1]) for line in text.splitlines() if "ctxt_switches" in line)

    def at_rest() -> bool:
        before = times_woken()
        return ticks_in(supervisor.pid, 0.1) == 0 and times_woken() == before

    until(at_rest)  # a start leaves something to be done
    before = times_woken()
    used = ticks_in(supervisor.pid, 1.0)
    woken = times_woken() - before
    record_property("processor while nothing changes", f"{used} %")
    record_property("the loop woken in a second", str(woken))
    assert woken <= 5, "the loop polls"
    assert used <= 10
    with within(1 + NOISE) as took:
        supervisor.send(signal.SIGTERM)
        assert supervisor.end() == 0
    record_property("end, watching", in_words(took.seconds))
