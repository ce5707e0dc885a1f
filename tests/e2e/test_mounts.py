"""Private folders of the process types: made, kept, listed and cleared; and what stands in their way."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from tests.e2e.app import PROBE, App
from tests.e2e.refusal import refused
from tests.faults.needs import needs

root_only = needs(os.geteuid() == 0, "only root may make folders of somebody else")


def mounts(app: App) -> dict[str, dict[str, object]]:
    """What `procsup mounts` lists, by TYPE/NAME."""
    return {f"{each['type']}/{each['name']}": each for each in json.loads(app.ok("mounts", "--json"))["mounts"]}


def path_of(app: App, mount: str) -> Path:
    return Path(str(mounts(app)[mount]["path"]))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def mount_variables(told: dict[str, dict[str, str]]) -> dict[str, str]:
    return {name: value for name, value in told["env"].items() if name.startswith("PROCSUP_MOUNT_")}


def made(app: App, *names: str) -> Path:
    """The first of the mounts of `worker`, which has run and been stopped."""
    app.write("Procfile", "worker: sleep 1000\n")
    app.write("procsup.toml", f"[processes.worker]\nmounts = {json.dumps(names)}\n")
    supervisor = app.start()
    app.until_running("worker.1")
    assert supervisor.stop() == 0
    return path_of(app, f"worker/{names[0]}")


# What the processes get


def test_each_type_has_its_own_folder_and_one_that_overrides_with_nothing_has_none(app: App) -> None:
    app.write("Procfile", f"web: {PROBE}\nqueue: {PROBE}\nmail: {PROBE}\n")
    app.write(
        "procsup.toml",
        'mounts = ["scratch"]\n[processes.queue]\nmounts = ["scratch", "big-files"]\n[processes.mail]\nmounts = []\n',
    )
    app.environment["PROCSUP_MOUNT_SCRATCH"] = app.environment["PROCSUP_MOUNT_OTHER"] = "/of/somebody/else"
    supervisor = app.start("-m", "web=2")
    web, second, queue = (mount_variables(supervisor.probe(name)) for name in ("web.1", "web.2", "queue.1"))
    assert mount_variables(supervisor.probe("mail.1")) == {}
    assert web == second  # of the type, not of the instance
    assert web.keys() == {"PROCSUP_MOUNT_SCRATCH"}
    assert queue.keys() == {"PROCSUP_MOUNT_SCRATCH", "PROCSUP_MOUNT_BIG_FILES"}
    folders = {*web.values(), *queue.values()}
    assert len(folders) == 3
    assert {mode(Path(each)) for each in folders} == {0o700}
    assert {each["path"] for each in mounts(app).values()} == folders
    supervisor.stop()


@pytest.mark.parametrize("umask", [0, 0o077, 0o777], ids=oct)
def test_its_mode_is_0700_whatever_the_umask_and_whoever_has_changed_it(app: App, umask: int) -> None:
    app.write("Procfile", "web: sleep 1000\n")
    app.write("procsup.toml", 'mounts = ["scratch"]\n')
    supervisor = app.start(umask=umask)
    app.until_running("web.1")
    folder = path_of(app, "web/scratch")
    assert mode(folder) == 0o700
    folder.chmod(0o777)
    app.ok("restart", "web")
    assert mode(folder) == 0o700
    supervisor.stop()


def test_what_is_in_it_stays_over_restarts_and_over_the_supervisors_own(app: App) -> None:
    app.write(
        "Procfile", "web: sh -c 'echo $PS >> $PROCSUP_MOUNT_NOTES/seen; cat $PROCSUP_MOUNT_NOTES/seen; sleep 1000'\n"
    )
    app.write("procsup.toml", 'mounts = ["notes"]\n')
    supervisor = app.start()
    supervisor.wait_for(r"\| web\.1$")
    app.ok("restart", "web")
    supervisor.wait_for(r"\| web\.1$", 3)
    supervisor.stop()
    again = app.start()
    again.wait_for(r"\| web\.1$", 3)
    again.stop()


def test_a_folder_that_was_removed_is_there_again_for_the_next_copy(app: App) -> None:
    app.write("Procfile", "web: sh -c 'rmdir $PROCSUP_MOUNT_A; echo away; sleep 1000'\n")
    app.write("procsup.toml", 'mounts = ["a"]\n')
    supervisor = app.start()
    supervisor.wait_for("away")
    app.ok("restart", "web")
    supervisor.wait_for("away", 2)
    assert "rmdir" not in supervisor.text
    supervisor.stop()


def test_a_state_folder_with_a_strange_name_is_no_obstacle(app: App, tmp_path: Path) -> None:
    app.environment["XDG_RUNTIME_DIR"] = str(tmp_path)  # for the socket: the path would be too long
    app.environment["PROCSUP_STATE_DIR"] = str(tmp_path / 'a "b" $HOME %s\n\x1b[31m ü')
    app.write("Procfile", f'web: {PROBE}\nshell: touch "$PROCSUP_MOUNT_A/x" && ls "$PROCSUP_MOUNT_A" && sleep 1000\n')
    app.write("procsup.toml", 'mounts = ["a"]\n')
    supervisor = app.start()
    [folder] = mount_variables(supervisor.probe()).values()
    assert os.path.isdir(folder)
    supervisor.wait_for(r"shell\.1 +\| x$")
    assert "\x1b" not in app.ok("mounts")
    assert mounts(app)["web/a"]["path"] == folder
    supervisor.stop()


def test_two_mounts_that_would_share_a_variable_are_refused(app: App) -> None:
    app.write("Procfile", "web: sleep 1000\n")
    app.write("procsup.toml", 'mounts = ["a-b", "a_b"]\n')
    assert "procsup.toml:1" in refused(app.run("check"))


# What stands in the way


def in_the_way(app: App, folder: Path, *words: str) -> None:
    """The worker backs off and says so; once it is out of the way, it starts."""
    app.write("Procfile", "worker: sleep 1000\nother: sleep 1000\n")
    supervisor = app.start()
    found = app.until(lambda found: found["worker.1"]["state"] == "backoff" and found["other.1"]["state"] == "running")
    for word in ("mounts (procsup.toml:2)", str(folder), *words):
        assert word in found["worker.1"]["why"]
    supervisor.wait_for(r"worker\.1 could not be started: mounts \(procsup\.toml:2\): ")
    os.rename(folder, folder.with_name("away"))
    app.ok("restart", "worker")
    app.until_running("worker.1", "other.1")
    assert supervisor.stop() == 0
    assert "Traceback" not in supervisor.text


@pytest.mark.parametrize("level", [0, 1, 2, 3], ids=["mount", "type", "project", "mounts"])
def test_a_symbolic_link_in_its_place_is_not_followed(app: App, tmp_path: Path, level: int) -> None:
    folder = made(app, "scratch")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o755)
    (elsewhere / "precious").write_text("")
    link = (folder, *folder.parents)[level]
    os.rename(link, tmp_path / "old")
    link.symlink_to(elsewhere)
    in_the_way(app, link, "symbolic link", "move it away")
    assert mode(elsewhere) == 0o755
    assert os.listdir(elsewhere) == ["precious"]


def test_a_file_in_its_place_is_left_alone(app: App) -> None:
    folder = made(app, "scratch")
    folder.rmdir()
    folder.write_text("precious")
    in_the_way(app, folder, "is no folder")
    assert folder.with_name("away").read_text() == "precious"


def test_a_folder_above_it_that_others_may_write_to_is_refused(app: App) -> None:
    folder = made(app, "scratch").parent
    folder.chmod(0o777)
    in_the_way(app, folder, "mode 0777", "others can change")


@root_only
def test_one_that_has_somebody_elses_files_is_not_taken_from_him(app: App) -> None:
    folder = made(app, "scratch")
    (folder / "file").write_text("")
    os.chown(folder, 1, 1)
    in_the_way(app, folder, "belongs to", "chown -R root:", "procsup mounts --clear worker/scratch")


@root_only
@pytest.mark.parametrize(("before", "after"), [(0o1777, 0o1777), (0o1700, 0o1711)], ids=oct)
def test_a_folder_of_state_that_others_have_to_pass_loses_nothing_of_its_mode(
    app: App, tmp_path: Path, before: int, after: int
) -> None:
    """PROCSUP_STATE_DIR might be /tmp."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(before)
    app.environment["PROCSUP_STATE_DIR"] = str(shared)
    app.write("Procfile", "web: sleep 1000\n")
    app.write("procsup.toml", '[processes.web]\nmounts = ["scratch"]\nuser = "nobody"\n')
    supervisor = app.start()
    app.until(lambda found: found["web.1"]["state"] in ("running", "backoff"))
    assert mode(shared) == after
    supervisor.stop()


# The command


def test_they_are_listed_with_their_sizes_as_du_has_it_also_when_nothing_runs(app: App) -> None:
    folder = made(app, "scratch", "empty")
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "file").write_bytes(os.urandom(1 << 20))
    os.link(folder / "deep" / "er" / "file", folder / "again")
    (folder / "to").symlink_to("/")
    with open(folder / "sparse", "wb") as sparse:
        sparse.truncate(1 << 40)
    os.sync()
    found = mounts(app)
    assert found["worker/empty"]["size"] == 0
    assert 1 << 20 <= int(str(found["worker/scratch"]["size"])) < 3 << 20
    lines = app.ok("mounts").splitlines()
    assert [line.split()[0] for line in lines] == ["MOUNT", "worker/empty", "worker/scratch"]
    assert lines[2].endswith(str(folder))
    assert " MiB " in lines[2]


def test_where_there_are_none_it_says_so(app: App) -> None:
    app.write("Procfile", "web: sleep 1000\n")
    assert app.ok("mounts") == f"no process type of {app.folder} has a mount\n"
    assert "there is none" in refused(app.run("mounts", "--clear", "web/scratch"))


def test_a_running_supervisor_says_where_its_state_is(app: App, tmp_path: Path) -> None:
    """Whoever asks may have another PROCSUP_STATE_DIR or XDG_STATE_HOME than who has started it."""
    app.environment.pop("PROCSUP_STATE_DIR")
    app.environment |= {"XDG_STATE_HOME": str(tmp_path / "one"), "XDG_RUNTIME_DIR": str(tmp_path)}
    app.write("Procfile", "web: sleep 1000\n")
    app.write("procsup.toml", 'mounts = ["scratch"]\n')
    supervisor = app.start()
    app.until_running("web.1")
    app.environment["XDG_STATE_HOME"] = str(tmp_path / "other")
    assert str(mounts(app)["web/scratch"]["path"]).startswith(str(tmp_path / "one"))
    supervisor.stop()


def test_clearing_removes_what_is_in_it_and_nothing_that_a_link_leads_to(app: App, tmp_path: Path) -> None:
    folder = made(app, "scratch", "other")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "precious").write_text("")
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    (folder / "deep").mkdir()
    (folder / "deep" / "link").symlink_to(tmp_path / "elsewhere")
    (folder / "deep" / "odd\nname\xff").write_text("x")
    (folder / "deep").chmod(0o500)
    (folder.parent / "other" / "kept").write_text("")
    inode = folder.stat().st_ino
    assert app.ok("mounts", "--clear", "worker/scratch").startswith("cleared worker/scratch: ")
    assert os.listdir(folder) == []
    assert folder.stat().st_ino == inode
    assert os.listdir(tmp_path / "elsewhere") == ["precious"]
    assert os.listdir(folder.parent / "other") == ["kept"]
    app.ok("mounts", "--clear", "worker")  # all of the type
    assert os.listdir(folder.parent / "other") == []


def test_it_is_not_cleared_under_a_running_instance_unless_that_is_wanted(app: App) -> None:
    app.write("Procfile", "web: sh -c 'touch $PROCSUP_MOUNT_A/x; echo ready; sleep 1000'\nidle: sleep 1000\n")
    app.write("procsup.toml", 'mounts = ["a"]\n')
    supervisor = app.start("-m", "web=2")
    supervisor.wait_for("ready", 2)
    folder = path_of(app, "web/a")
    said = refused(app.run("mounts", "--clear", "web/a"), 1)
    assert "web.1, web.2" in said
    assert "procsup stop web" in said
    assert os.listdir(folder) == ["x"]
    app.ok("mounts", "--clear", "web/a", "--force")
    assert os.listdir(folder) == []
    app.ok("stop", "web")
    (folder / "y").write_text("")
    app.ok("mounts", "--clear", "web/a")  # idle runs on, and has nothing to do with it
    assert os.listdir(folder) == []
    supervisor.stop()


def test_one_that_backs_off_is_about_to_run(app: App) -> None:
    app.write("Procfile", "web: false\n")
    app.write("procsup.toml", 'mounts = ["a"]\n')
    supervisor = app.start()
    app.until(lambda found: found["web.1"]["state"] == "backoff")
    assert "web.1" in refused(app.run("mounts", "--clear", "web"), 1)
    supervisor.stop()


def test_of_a_type_that_is_gone_it_is_kept_and_listed_until_it_is_cleared(app: App) -> None:
    folder = made(app, "scratch", "old")
    (folder / "file").write_text("")
    app.write("Procfile", "web: sleep 1000\n")
    app.write("procsup.toml", 'mounts = ["scratch"]\n')
    supervisor = app.start()
    app.until_running("web.1")
    assert (folder / "file").exists()
    found = mounts(app)
    assert {name: each["named"] for name, each in found.items()} == {
        "web/scratch": True,
        "worker/old": False,
        "worker/scratch": False,
    }
    assert app.ok("mounts").count("procsup.toml does not name it") == 2
    app.ok("mounts", "--clear", "worker")
    assert not folder.parent.exists()
    assert mounts(app).keys() == {"web/scratch"}
    supervisor.stop()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("worker/scratc", 'did you mean "worker/scratch"?'),
        ("wroker", 'did you mean "worker"?'),
        ("../worker", "worker"),
        ("zzz", "there is: worker/scratch"),
    ],
)
def test_a_name_that_nobody_knows_clears_nothing(app: App, asked: str, said: str) -> None:
    folder = made(app, "scratch")
    (folder / "file").write_text("")
    assert said in refused(app.run("mounts", "--clear", "worker/scratch", "--clear", asked))
    assert os.listdir(folder) == ["file"]


def test_where_there_is_no_mount_nothing_is_guessed(app: App) -> None:
    assert "there is none" in refused(app.run("mounts", "--clear", "worker"))


def test_files_with_mistakes_do_not_keep_anybody_from_his_mounts(app: App) -> None:
    folder = made(app, "scratch")
    app.write("procsup.toml", "mounts = 7\n")
    assert str(folder) in app.ok("mounts")
    app.ok("mounts", "--clear", "worker")
    assert folder.exists()  # nobody can say whether it is still wanted
