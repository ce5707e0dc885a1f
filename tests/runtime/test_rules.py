"""What is usual: core, that imports nobody, has its own copy of numbers that the configuration knows too."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from procsup.cli.install import install
from procsup.cli.start import start
from procsup.config import ports, settings
from procsup.config.formation import MAX_COUNT
from procsup.config.project import Project, ProjectOptions, load_project
from procsup.core import numbers, rules
from procsup.core.model import RequestRefused
from procsup.core.supervisor import Supervisor
from procsup.runtime.options import Policy
from procsup.runtime.rules import plan, project_read


def project(folder: Path, procfile: str, told: str = "") -> Project:
    (folder / "Procfile").write_text(procfile)
    (folder / "procsup.toml").write_text(told)
    return load_project(ProjectOptions(), {}, str(folder), lambda: b"")


def as_core_has_it(project: Project, policy: Policy | None = None) -> list[rules.ProcessType]:
    return list(project_read(project, policy or Policy(), {}, {}).types)


def test_core_and_the_configuration_have_the_same_defaults(tmp_path: Path) -> None:
    assert (numbers.PORTS_PER_TYPE, numbers.LAST_PORT) == (ports.PORTS_PER_TYPE, ports.MAX_PORT)
    assert rules.RestartRule().window == settings.RESTART_WINDOW
    assert rules.DEFAULT_STOP[0].wait == settings.DEFAULT_GRACE
    web = project(tmp_path, "web: x\n")
    [read] = as_core_has_it(web)
    usual = rules.RestartRule(alone=True)  # only the command line's --restart never stops the others
    assert read == rules.ProcessType("web", web.fingerprint("web"), restart=usual)
    Supervisor().handle(project_read(web, Policy(), {"web": MAX_COUNT}, {}), 0.0)
    with pytest.raises(RequestRefused):
        Supervisor().handle(project_read(web, Policy(), {"web": MAX_COUNT + 1}, {}), 0.0)


@pytest.mark.parametrize("command", [start, install])
def test_the_help_says_the_grace_that_is_usual(command: click.Command) -> None:
    [grace] = (each for each in command.params if isinstance(each, click.Option) and each.name == "grace")
    assert str(grace.help).endswith(f"[default: {settings.DEFAULT_GRACE:g}]")


def test_the_command_line_wins_over_the_file_and_that_over_what_is_usual(tmp_path: Path) -> None:
    told = (
        'restart = "on-failure"\n[processes.job]\nrestart = "always"\none_shot = true\n[processes.release]\ncount = 1\n'
    )
    read = project(tmp_path, "web: x\njob: x\nrelease: x\n", told)

    def words(policy: Policy) -> list[tuple[str, bool]]:
        return [(each.restart.policy.value, each.restart.alone) for each in as_core_has_it(read, policy)]

    assert words(Policy()) == [("on-failure", True), ("always", True), ("never", True)]
    assert words(Policy(restart="never")) == [("never", False), ("never", False), ("never", True)]
    assert words(Policy(restart="always")) == [("always", False), ("always", False), ("never", True)]


def test_a_signal_without_a_pause_has_the_grace_and_sigkill_comes_last(tmp_path: Path) -> None:
    told = '[processes.web]\nstop = "INT, 3, TERM, KILL"\n[processes.job]\ngrace = 4\n[processes.hard]\nstop = "KILL"\n'
    types = project(tmp_path, "web: x\njob: x\nhard: x\n", told).settings

    def waits(name: str, policy: Policy) -> list[tuple[int, float]]:
        return [(each.signal, each.wait) for each in plan(types.of(name), policy)]

    kill = (9, rules.UNKILLABLE_AFTER)
    assert waits("web", Policy()) == [(2, 3.0), (15, 15.0), kill]
    assert waits("web", Policy(grace=1.0)) == [(2, 3.0), (15, 1.0), kill]
    assert waits("job", Policy()) == [(15, 4.0), kill]
    assert waits("job", Policy(grace=0.0)) == [(15, 0.0), kill]
    assert waits("hard", Policy()) == [kill]
