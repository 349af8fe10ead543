"""What every test shares: one thread unless asked otherwise, no network, no deadline for generated examples."""

import os

import pytest
from hypothesis import settings

for variable, value in {
    "OMP_NUM_THREADS": os.environ.get("LLMRL_THREADS", "1"),
    "MKL_NUM_THREADS": os.environ.get("LLMRL_THREADS", "1"),
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "MPLBACKEND": "agg",
}.items():
    os.environ.setdefault(variable, value)

settings.register_profile("course", deadline=None, derandomize=True)
settings.load_profile("course")


@pytest.fixture(autouse=True, scope="session")
def own_home(tmp_path_factory):
    """Tests never touch the reader's own progress: they get a home of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLMRL_HOME", str(tmp_path_factory.mktemp("home")))
        yield
