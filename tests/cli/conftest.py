"""One trained network for all tests of a process that only use one."""

import shutil

import pytest
from cli_data import SHORT, chainrule, write_table


@pytest.fixture
def in_full():
    """What a test asks for that looks at all that a run gives; the others have it `in_short`."""


@pytest.fixture(autouse=True)
def in_short_or_in_full(request):
    if "in_full" not in request.fixturenames:
        request.getfixturevalue("in_short")


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A folder with the table t.csv and a run on it in the folder run."""
    pytest.importorskip("pyarrow", reason="tables are read with pyarrow")
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_table(folder / "t.csv")
        assert chainrule("train", "t.csv", "-t", "answer", *SHORT, "--out", "run").exit_code == 0
    return folder


@pytest.fixture
def run(trained, tmp_path):
    """The run, copied with its table into a folder of the test's own."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    return tmp_path / "run"
