"""Processes that start in another folder than the root."""

from __future__ import annotations

import json
import re

import pytest

from tests.e2e.app import PROBE, App
from tests.e2e.somebody import backs_off, open_app

app = open_app


@pytest.mark.parametrize("way", ["", "1"], ids=["posix_spawn", "fork"])
def test_it_starts_in_its_folder_wherever_that_is(app: App, way: str) -> None:
    app.environment["PROCSUP_PORTABLE"] = way
    (app.folder / "sub" / "deep er").mkdir(parents=True)
    outside = app.folder.parent / "outside"
    outside.mkdir()
    (app.folder / "sub" / "job").write_text("#!/bin/sh\necho $0 in $(pwd); exec sleep 1000\n")
    (app.folder / "sub" / "job").chmod(0o755)
    app.write("Procfile", f"web: {PROBE}\nup: {PROBE}\nabs: {PROBE}\njob: ./job\nroot: {PROBE}\n")
    folders = {"web": "sub/deep er", "up": "../outside", "abs": str(outside), "job": "sub"}
    app.write(
        "procsup.toml", "".join(f"[processes.{name}]\ncwd = {json.dumps(each)}\n" for name, each in folders.items())
    )
    supervisor = app.start()
    for name, folder in (
        ("web", app.folder / "sub" / "deep er"),
        ("up", outside),
        ("abs", outside),
        ("root", app.folder),
    ):
        probe = supervisor.probe(f"{name}.1")
        assert probe["cwd"] == probe["env"]["PWD"] == str(folder)
    supervisor.wait_for(rf"job\.1 +\| \./job in {re.escape(str(app.folder))}/sub$")
    supervisor.stop()


@pytest.mark.parametrize(
    ("cwd", "words"),
    [
        ("nowhere", ("there is no folder", "{app}/nowhere", "make it")),
        ("Procfile", ("{app}/Procfile is no folder",)),
        ("Procfile/deeper", ("there is no folder",)),
        ("loop", ("{app}/loop", "symbolic links")),
    ],
)
def test_a_folder_that_is_none_is_named_and_the_others_start(app: App, cwd: str, words: tuple[str, ...]) -> None:
    (app.folder / "loop").symlink_to("loop")
    app.write("Procfile", "web: sleep 1000\nother: sleep 1000\n")
    app.write("procsup.toml", f'[processes.web]\ncwd = "{cwd}"\n')
    backs_off(app, app.start(), *(word.format(app=app.folder) for word in words))


def test_a_folder_that_is_made_meanwhile_is_found_at_the_next_try(app: App) -> None:
    app.write("Procfile", "web: sleep 1000\n")
    app.write("procsup.toml", 'cwd = "later"\n')
    supervisor = app.start()
    app.until(lambda found: found["web.1"]["state"] == "backoff")
    (app.folder / "later").mkdir()
    app.until_running("web.1")  # by itself
    supervisor.stop()
