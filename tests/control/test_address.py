from __future__ import annotations

import os
import socket

import pytest

from procsup.control import address
from procsup.errors import ProcsupError, UsageError

ME = os.geteuid()


def test_state_is_kept_where_the_user_says_then_where_xdg_says_then_at_home():
    home = {"HOME": "/home/me"}
    assert address.state_folder(home, 1000) == "/home/me/.local/state/procsup"
    assert address.state_folder(home, 0) == "/var/lib/procsup"
    assert address.state_folder({**home, "XDG_STATE_HOME": "/x"}, 1000) == "/x/procsup"
    assert address.state_folder({**home, "XDG_STATE_HOME": "x"}, 1000) == "/home/me/.local/state/procsup"
    assert address.state_folder({**home, "XDG_STATE_HOME": "/x", "PROCSUP_STATE_DIR": "/mine/"}, 1000) == "/mine"


def test_a_relative_state_folder_is_refused_because_it_would_be_another_one_elsewhere():
    with pytest.raises(UsageError, match="absolute"):
        address.state_folder({"PROCSUP_STATE_DIR": "state"}, 1000)


def test_a_user_without_a_home_is_told_what_to_set():
    with pytest.raises(UsageError, match="PROCSUP_STATE_DIR"):
        address.state_folder({}, 987_654)


def test_the_socket_goes_to_the_runtime_folder_of_this_user_only(tmp_path):
    state = {"PROCSUP_STATE_DIR": str(tmp_path / "state")}
    assert address.run_folder({**state, "XDG_RUNTIME_DIR": str(tmp_path)}, ME) == str(tmp_path / "procsup")
    # as `sudo -E` leaves it: somebody else's
    assert address.run_folder({**state, "XDG_RUNTIME_DIR": str(tmp_path)}, ME + 1) == str(tmp_path / "state/run")
    assert address.run_folder({**state, "XDG_RUNTIME_DIR": str(tmp_path / "none")}, ME) == str(tmp_path / "state/run")
    assert address.run_folder({}, 0) == "/run/procsup"


def test_who_looks_looks_wherever_a_supervisor_without_our_environment_may_be(tmp_path):
    state = {"XDG_STATE_HOME": str(tmp_path)}
    started_by_cron = address.socket_path(state, 4242, "/srv/app")
    assert started_by_cron in address.socket_paths({**state, "XDG_RUNTIME_DIR": str(tmp_path)}, 4242, "/srv/app")


@pytest.fixture
def units(tmp_path, monkeypatch):
    """Folders of two units, as systemd makes them: of ours, and, if we are root, of somebody else."""
    folder = tmp_path / "units"
    monkeypatch.setattr(address, "SYSTEM_UNITS", str(folder))
    for name, owner in (("mine", ME), ("theirs", 4242 if ME == 0 else ME)):
        (folder / name).mkdir(parents=True, mode=0o700)
        os.chown(folder / name, owner, -1)
    return folder


def test_a_unit_of_the_system_listens_in_the_folder_that_systemd_made_for_it(units, tmp_path):
    own = {"RUNTIME_DIRECTORY": f"/run/other:{units}/mine", "XDG_RUNTIME_DIR": str(tmp_path), "HOME": "/home/me"}
    assert address.run_folder(own, ME) == f"{units}/mine"
    assert address.run_folder({**own, "RUNTIME_DIRECTORY": "/run/other"}, ME) == str(tmp_path / "procsup")
    assert address.run_folder({**own, "RUNTIME_DIRECTORY": f"{units}/mine/deeper"}, ME) == str(tmp_path / "procsup")
    assert address.run_folder(own, ME + 1) != f"{units}/mine"


@pytest.mark.skipif(ME != 0, reason="only root looks into other users' folders")
def test_who_looks_for_one_finds_those_of_its_own_units_and_root_finds_all(units, tmp_path):
    environ = {"XDG_STATE_HOME": str(tmp_path)}
    assert f"{units}/theirs" in address.run_folders(environ, 4242)
    assert f"{units}/mine" not in address.run_folders(environ, 4242)
    assert {f"{units}/mine", f"{units}/theirs"} <= set(address.run_folders(environ, 0))
    (units / "theirs/app-1.sock").touch()
    assert f"{units}/theirs/app-1.sock" in address.running(environ, 0)
    address.check_private(f"{units}/theirs")
    # a world apart has nothing to do with them
    assert f"{units}/theirs" not in address.run_folders({"PROCSUP_STATE_DIR": str(tmp_path)}, 0)
    (units / "theirs").chmod(0o770)
    with pytest.raises(ProcsupError, match="can be written to by others"):
        address.check_private(f"{units}/theirs")


def test_a_project_has_one_identity_by_whatever_path_one_comes(tmp_path):
    (tmp_path / "app").mkdir()
    (tmp_path / "link").symlink_to("app")
    app = address.identity(str(tmp_path / "app"))
    assert app == address.identity(str(tmp_path / "link")) == address.identity(f"{tmp_path}/x/../app/")
    assert app.startswith("app-")
    assert app != address.identity(str(tmp_path / "other" / "app"))


@pytest.mark.parametrize("name", ["a b", "ü", "\udcff", "a\nb", "x" * 250, "-rf", ".."])
def test_an_identity_is_a_plain_and_short_file_name_whatever_the_folder_is_called(name):
    name = address.identity("/srv/" + name)
    assert len(name) <= 60
    assert name.isascii()
    assert not {"/", "\n", " "} & set(name)


def test_the_root_of_the_file_system_has_an_identity_too():
    assert address.identity("/").startswith("root-")


def test_identities_never_change_because_state_is_kept_under_them():
    assert address.identity("/srv/shop") == "shop-23924b8039499120"


@pytest.mark.parametrize("length", range(20, 130, 3))
def test_a_socket_path_always_fits_and_can_be_bound(length, tmp_path):
    base = str(tmp_path)
    state = base + "/" + "s" * max(1, length - len(base))
    path = address.socket_path({"PROCSUP_STATE_DIR": state}, ME, "/srv/" + "long-name" * 9)
    assert len(os.fsencode(path)) <= address.LONGEST_PATH
    if path.startswith(base):
        address.make_private(os.path.dirname(path))
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(path)


def test_a_private_folder_is_made_with_all_above_it_and_tightened_if_it_is_ours(tmp_path):
    folder = tmp_path / "a" / "b" / "run"
    address.make_private(str(folder))
    assert folder.stat().st_mode & 0o777 == 0o700
    assert folder.parent.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o755)
    address.make_private(str(folder))
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777, 0o722, 0o1777])
def test_a_folder_that_others_can_write_to_is_refused_and_left_as_it_is(tmp_path, mode):
    folder = tmp_path / "run"
    folder.mkdir()
    folder.chmod(mode)
    for check in (address.check_private, address.make_private):
        with pytest.raises(ProcsupError, match="can be written to by others"):
            check(str(folder))
    assert folder.stat().st_mode & 0o7777 == mode


def test_a_link_or_a_file_in_the_folders_place_is_refused(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    (tmp_path / "file").write_text("")
    for check in (address.check_private, address.make_private):
        with pytest.raises(ProcsupError, match="symbolic link"):
            check(str(tmp_path / "link"))
        with pytest.raises(ProcsupError, match="is no folder"):
            check(str(tmp_path / "file"))


@pytest.mark.skipif(ME != 0, reason="needs root to give a folder away")
def test_somebody_elses_folder_is_refused(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    os.chown(folder, 65534, 65534)
    for check in (address.check_private, address.make_private):
        with pytest.raises(ProcsupError, match="belongs to user 65534"):
            check(str(folder))


def test_a_folder_whose_parent_lets_everybody_replace_it_is_refused(tmp_path):
    (tmp_path / "run").mkdir(mode=0o700)
    tmp_path.chmod(0o777)
    for check in (address.check_private, address.make_private):
        with pytest.raises(ProcsupError, match="lets everybody replace"):
            check(str(tmp_path / "run"))
    tmp_path.chmod(0o1777)
    address.make_private(str(tmp_path / "run"))


def test_not_only_the_nearest_of_the_folders_above_counts(tmp_path):
    (tmp_path / "open" / "mine").mkdir(parents=True)
    address.make_private(str(tmp_path / "open" / "mine" / "run"))
    (tmp_path / "link").symlink_to("open/mine")
    (tmp_path / "open").chmod(0o777)
    for folder in (tmp_path / "open" / "mine" / "run", tmp_path / "link" / "run"):
        for check in (address.check_private, address.make_private):
            with pytest.raises(ProcsupError, match=f"{tmp_path}/open lets everybody replace"):
                check(str(folder))


@pytest.mark.skipif(ME != 0, reason="needs root to give a folder away")
@pytest.mark.parametrize("mode", [0o700, 0o755, 0o1777])
def test_a_folder_of_ours_in_somebody_elses_is_refused_and_nothing_is_left_there(tmp_path, mode):
    (tmp_path / "theirs" / "run").mkdir(parents=True)
    (tmp_path / "theirs" / "run").chmod(0o700)
    (tmp_path / "theirs").chmod(mode)
    os.chown(tmp_path / "theirs", 65534, 65534)
    (tmp_path / "link").symlink_to("theirs/run")
    said = f"{tmp_path}/theirs belongs to user 65534, who could replace what is in it; .*PROCSUP_STATE_DIR"
    with pytest.raises(ProcsupError, match=said):
        address.check_private(str(tmp_path / "theirs" / "run"))
    for folder in ("theirs/run", "theirs/new/state/run", "link/state/run"):
        with pytest.raises(ProcsupError, match=said):
            address.make_private(str(tmp_path / folder))
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == ["link", "theirs", "theirs/run"]


@pytest.mark.skipif(ME != 0, reason="needs root to give a link away")
def test_a_link_that_somebody_else_could_turn_is_not_followed(tmp_path):
    (tmp_path / "mine").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("mine")
    os.chown(tmp_path / "link", 65534, 65534, follow_symlinks=False)
    with pytest.raises(ProcsupError, match=f"{tmp_path}/link belongs to user 65534"):
        address.make_private(str(tmp_path / "link" / "run"))


def test_without_a_umask_all_folders_that_are_made_are_private_all_the_same(tmp_path):
    before = os.umask(0)
    try:
        address.make_private(str(tmp_path / "a" / "b" / "run"))
    finally:
        os.umask(before)
    for folder in ("a", "a/b", "a/b/run"):
        assert (tmp_path / folder).stat().st_mode & 0o777 == 0o700


def test_a_folder_that_cannot_be_made_is_an_error_that_says_what_to_do(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ProcsupError, match="PROCSUP_STATE_DIR"):
        address.make_private(str(tmp_path / "file" / "run"))


def test_running_lists_sockets_and_nothing_else(tmp_path):
    environ = {"PROCSUP_STATE_DIR": str(tmp_path)}
    assert address.running(environ, ME) == []
    address.make_private(str(tmp_path / "run"))
    for name in ("b-1.sock", "a-2.sock", "x.lock"):
        (tmp_path / "run" / name).write_text("")
    assert address.running(environ, ME) == [str(tmp_path / "run" / name) for name in ("a-2.sock", "b-1.sock")]
    (tmp_path / "run").chmod(0o777)
    with pytest.raises(ProcsupError, match="written to by others"):
        address.running(environ, ME)
