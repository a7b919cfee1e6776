"""Settings of a run: what they may be, and the TOML file that holds them."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainrule import optim
from chainrule.data.columns import READINGS
from chainrule.errors import ArgumentError
from chainrule.job.config import TASKS, Config, activations, losses, schedules

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
names = st.lists(texts, max_size=3, unique=True).map(tuple)
counts = st.none() | st.integers(1, 10**6)
CONFIGS = st.builds(
    Config,
    target=st.none(),
    task=st.sampled_from(TASKS),
    include=names,
    exclude=st.just(()),
    kinds=st.lists(st.tuples(texts, st.sampled_from(READINGS)).map("=".join), max_size=3, unique=True).map(tuple),
    missing=names,
    delimiter=st.none() | texts,
    encoding=st.none() | texts,
    hidden=st.none() | st.lists(st.integers(1, 512), max_size=3).map(tuple),
    activation=st.sampled_from(sorted(activations())),
    dropout=st.none() | st.floats(0, 1, exclude_max=True),
    loss=st.none() | st.sampled_from(losses()),
    optimizer=st.sampled_from(sorted(optim.commands())),
    learning_rate=st.none() | st.floats(0, 1e300, exclude_min=True),
    schedule=st.none() | st.sampled_from([name for name in schedules() if name != "average"]),  # which excludes patience
    l2=st.none() | st.floats(0, 1e300),
    batch_size=counts,
    epochs=counts,
    validation=st.floats(0.001, 0.999),
    patience=counts,
    seed=st.integers(0, 2**63 - 1),
    backend=texts,
)


@given(config=CONFIGS)
def test_toml_round_trip(config, tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "c.toml"
    path.write_text(config.to_toml(), encoding="utf-8")
    assert Config().updated({}) == Config()
    assert Config.from_toml(path) == config


def test_every_setting_is_documented():
    for field in dataclasses.fields(Config):
        assert f"{field.name}" in Config.__doc__, field.name


WRONG = [
    ({"activation": "rellu"}, "the setting activation is 'rellu'; it must be one of relu,", "Did you mean 'relu'?"),
    ({"optimizer": "zzz"}, "the setting optimizer is 'zzz'; it must be one of adadelta,", "Choose one of them."),
    ({"schedule": "average", "patience": 3}, 'patience is 3; it must be left out with the schedule "average"', "Correct it."),
    ({"schedule": "cosin"}, "the setting schedule is 'cosin'", "Did you mean 'cosine'?"),
    ({"loss": "mae"}, "the setting loss is 'mae'; it must be one of mse, l1,", "Did you mean 'mse'?"),
    ({"task": "guess"}, "the setting task is 'guess'; it must be one of auto,", "."),
    ({"hidden": [64, 0]}, "the setting hidden is (64, 0); it must be numbers of units ≥ 1", "Correct it."),
    ({"kinds": ["zip"]}, "the setting kinds is 'zip'; it must be COLUMN=KIND, such as zip=categorical", "Correct it."),
    ({"kinds": ["a=b=word"]}, "the kind of the column 'a=b' is 'word'; the kinds are numeric, boolean,", "."),
    ({"missing": "NA"}, "the setting missing is 'NA'; it must be a list of words", "Correct it."),
    ({"hidden": 64}, "the setting hidden is 64; it must be a list of whole numbers", "Correct it."),
    ({"dropout": 1.0}, "the setting dropout is 1.0; it must be from 0 up to but not including 1", "Correct it."),
    ({"dropout": "much"}, "the setting dropout is 'much'; it must be a number", "Correct it."),
    ({"learning_rate": 0.0}, "the setting learning_rate is 0.0; it must be above 0", "Correct it."),
    ({"learning_rate": float("inf")}, "the setting learning_rate is inf", "Correct it."),
    ({"learning_rate": float("nan")}, "the setting learning_rate is nan", "Correct it."),
    ({"l2": -1.0}, "the setting l2 is -1.0; it must be at least 0", "Correct it."),
    ({"batch_size": 0}, "the setting batch_size is 0; it must be at least 1", "Correct it."),
    ({"batch_size": 2.5}, "the setting batch_size is 2.5; it must be a whole number", "Correct it."),
    ({"epochs": True}, "the setting epochs is True; it must be a whole number", "Correct it."),
    ({"patience": 0}, "the setting patience is 0", "Correct it."),
    ({"validation": 1.0}, "the setting validation is 1.0; it must be a share between 0 and 1", "Correct it."),
    ({"seed": -1}, "the setting seed is -1; it must be a whole number from 0", "Correct it."),
    ({"target": 5}, "the setting target is 5; it must be a text", "Correct it."),
    ({"include": "Age"}, "the setting include is 'Age'; it must be a list of column names", "Correct it."),
    ({"include": ["a"], "exclude": ["a"]}, "it must be without 'a', which include asks for", "Correct it."),
    ({"target": "y", "exclude": ["y"]}, "the setting exclude is ['y']; it must be without the target", "Correct it."),
    ({"epoch": 3}, "there is no setting 'epoch'; the settings are target, task,", "Did you mean 'epochs'?"),
]


@pytest.mark.parametrize("values, start, end", WRONG)
def test_wrong_settings(values, start, end):
    with pytest.raises(ArgumentError) as error:
        Config().updated(values)
    assert start in str(error.value)
    assert str(error.value).endswith(end)


@pytest.mark.parametrize("content", [b"epochs 3", b"\xff\xfe", b"[epochs]\n"])
def test_files_that_are_not_a_configuration(content, tmp_path):
    (tmp_path / "c.toml").write_bytes(content)
    with pytest.raises(ArgumentError, match=r"could not be read \(|the setting epochs is \{\}"):
        Config.from_toml(tmp_path / "c.toml")
