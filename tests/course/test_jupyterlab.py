"""Tests of the learners' JupyterLab settings: no tools of nbgrader and jupytext, no question about news."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from jupyterlab_server.config import get_page_config

SETTINGS = Path("gpt2_lib", "course", "jupyterlab")


HIDDEN = ["@jupyter/nbgrader", "jupyterlab-jupytext"]


def test_learners_do_not_see_the_tools_for_making_and_grading_notebooks(repository: Path, tmp_path: Path) -> None:
    page = get_page_config([str(tmp_path)], app_settings_dir=str(repository / SETTINGS))
    assert page["disabledExtensions"] == HIDDEN


def test_make_lab_has_the_learners_settings_and_make_teach_has_not(repository: Path) -> None:
    def printed(target: str) -> str:
        command = ["make", "--dry-run", "--old-file=.venv/lab", target]
        return subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True).stdout

    assert f"--LabApp.app_settings_dir={SETTINGS.as_posix()}" in printed("lab")
    assert "app_settings_dir" not in printed("teach")


@pytest.mark.skipif(sys.platform == "win32", reason="Binder runs Linux")
def test_binder_has_the_learners_settings(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = os.environ | {"NB_PYTHON_PREFIX": str(tmp_path)}
    subprocess.run(["bash", "postBuild"], cwd=repository, env=environment, check=True)
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", str(tmp_path / "etc" / "jupyter"))
    assert get_page_config([str(tmp_path)])["disabledExtensions"] == HIDDEN
    ours = json.loads((repository / SETTINGS / "overrides.json").read_text())
    assert json.loads((tmp_path / "etc/jupyter/labconfig/default_setting_overrides.json").read_text()) == ours
    kernels = "ipython_kernel_config.json"
    assert (tmp_path / "etc/ipython" / kernels).read_text() == (repository / SETTINGS / kernels).read_text()
