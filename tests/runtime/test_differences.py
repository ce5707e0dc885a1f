"""Why a reload restarts a copy, or leaves it alone: by the key of procsup.toml that it comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from procsup.config.project import Project, ProjectOptions, load_project
from procsup.runtime.differences import why_keep, why_restart

GROUPS = "[relationships]\nq = 'Q_*'\ndb = 'DB_*'\n"


def project(folder: Path, settings: str) -> Project:
    (folder / "procsup.toml").write_text(settings)
    return load_project(ProjectOptions(root=str(folder)), {"PATH": "/bin", "Q_INHERITED": "x"}, "/", bytes)


@pytest.mark.parametrize(
    ("before", "after", "keys"),
    [
        ("[env]\nA = 1\n", "[env]\nA = 2\n", "A (env in procsup.toml)"),
        ("env_file = 'one'\n", "env_file = 'two'\n", "F (env_file in procsup.toml)"),
        (
            "[processes.web]\nrelationships = ['q', 'db']\n" + GROUPS,
            "[processes.web]\nrelationships = ['db']\n" + GROUPS,
            "Q_INHERITED (relationships in procsup.toml)",
        ),
        (
            "env = { DB_A = 1 }\n" + GROUPS,
            "env = { DB_A = 1 }\n[processes.web]\nrelationships = ['q']\n" + GROUPS,
            "DB_A (relationships in procsup.toml)",
        ),
        # A variable of the app that the type does not see is not to blame.
        (
            "env = { DB_A = 1 }\n[processes.web]\nrelationships = ['q']\nenv_file = 'one'\n" + GROUPS,
            "env = { DB_A = 2 }\n[processes.web]\nrelationships = ['q']\nenv_file = 'two'\n" + GROUPS,
            "F (env_file in procsup.toml)",
        ),
        # Nor is what moved in a file, or a pattern that hides nothing.
        (
            "env = { A = 1 }\nenv_file = 'one'\n[processes.web]\nrelationships = ['q']\n" + GROUPS,
            "env = { A = 2 }\nenv_file = 'moved'\n[processes.web]\nrelationships = ['q']\n" + GROUPS + "x = 'X_*'\n",
            "A (env in procsup.toml)",
        ),
    ],
)
def test_a_changed_variable_is_told_with_the_keys_that_changed_it(
    tmp_path: Path, before: str, after: str, keys: str
) -> None:
    (tmp_path / "Procfile").write_text("web: sleep 1\n")
    (tmp_path / "one").write_text("F=1\n")
    (tmp_path / "two").write_text("F=2\n")
    (tmp_path / "moved").write_text("\nF=1\n")
    old, new = project(tmp_path, before), project(tmp_path, after)
    assert why_restart(old, new, "web") == f"its environment changed: {keys}"


@pytest.mark.parametrize(
    ("after", "why"),
    [
        ("grace = 1", "its grace changed, which needs no restart"),
        ("grace = 1\nmax_restarts = 3", "its max_restarts and grace changed, which needs no restart"),
        ("quiet = true", "its quiet changed, which takes effect when procsup is stopped and started"),
        (
            "quiet = true\ngrace = 1",
            "its grace changed, which needs no restart; "
            "its quiet changed, which takes effect when procsup is stopped and started",
        ),
        ("", ""),
    ],
)
def test_what_needs_no_restart_says_when_it_holds(tmp_path: Path, after: str, why: str) -> None:
    (tmp_path / "Procfile").write_text("web: sleep 1\n")
    old, new = project(tmp_path, "# nothing\n"), project(tmp_path, after)
    assert why_restart(old, new, "web") == ""
    assert why_keep(old, new, "web") == why
