"""The light way to the root that the client goes, which must lead where the project's own way does."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from procsup.config.location import find_project, locate
from procsup.errors import ConfigError

NAMES = st.sampled_from([None, "sub/Procfile", "Procfile", "sub/deep/x", "-"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / "sub" / "deep").mkdir(parents=True)
    return folder


@settings(max_examples=150)
@given(
    option=NAMES,
    root=st.sampled_from([None, "sub", "."]),
    env_name=st.sampled_from([None, "dev"]),
    env_files=st.sampled_from([(), ("other.env",)]),
    override=st.booleans(),
    variable=NAMES,
    in_env=NAMES,
    in_env_dev=NAMES,
    procfile_of_dev=st.booleans(),
)
def test_both_ways_lead_to_the_same_root(
    folder: Path,
    option: str | None,
    root: str | None,
    env_name: str | None,
    env_files: tuple[str, ...],
    override: bool,
    variable: str | None,
    in_env: str | None,
    in_env_dev: str | None,
    procfile_of_dev: bool,
) -> None:
    for name, procfile in ((".env", in_env), (".env.dev", in_env_dev), ("other.env", in_env)):
        (folder / name).write_text(f"PROCFILE={procfile}\n" if procfile else "A=1\n")
    (folder / "Procfile_dev").unlink(missing_ok=True)
    if procfile_of_dev:
        (folder / "Procfile_dev").touch()
    environ = {"PROCFILE": variable} if variable else {}
    arguments = option, root, env_name, env_files, override, environ, str(folder)
    assert locate(*arguments).root == find_project(*arguments).root


def test_a_folder_is_chosen_only_where_something_names_it(tmp_path: Path) -> None:
    def chosen(option: str | None = None, env_name: str | None = None, **environ: str) -> bool:
        return locate(option, None, env_name, (), False, environ, str(tmp_path)).chosen

    assert not chosen()
    assert not chosen(env_name="dev")
    assert chosen("Procfile")
    assert chosen(PROCFILE="x")
    (tmp_path / ".env").write_text("# PROCFILE is not set here\n")
    assert not chosen()
    (tmp_path / "Procfile_dev").touch()
    assert chosen(env_name="dev")
    assert chosen(PROCSUP_ENV="dev")


def test_a_broken_env_file_matters_only_where_it_speaks_of_the_procfile(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("nonsense\n")
    assert locate(None, None, None, (), False, {}, str(tmp_path)).root == str(tmp_path)
    (tmp_path / ".env").write_text("nonsense\nPROCFILE=x\n")
    with pytest.raises(ConfigError):
        locate(None, None, None, (), False, {}, str(tmp_path))
