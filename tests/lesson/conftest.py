import os

import pytest


@pytest.fixture(autouse=True)
def lesson_environment(monkeypatch, tmp_path):
    """No test of the kit sees the reader's own settings or leaves anything in the reader's folder."""
    for variable in [name for name in os.environ if name.startswith("LLMRL_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("LLMRL_HOME", str(tmp_path / "home"))
