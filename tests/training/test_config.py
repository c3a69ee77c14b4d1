"""A wrong configuration stops before the first scene is made, and says which key and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from synth import SynthError
from training.config import SedConfig, SeparatorConfig, load_config, parse_config


def test_overrides_win_and_are_typed() -> None:
    """What a user writes on the command line is what trains."""
    config = load_config(
        "sed-m2d", ["optim.lr=1e-3", "loop.steps=5000", "data.splits=[train, valid]", "out=elsewhere"]
    )
    assert isinstance(config, SedConfig)
    assert config.optim.lr == 1e-3
    assert config.loop.steps == 5000
    assert config.data.splits == ("train", "valid")
    assert config.out == Path("elsewhere")


def test_exponents_are_numbers() -> None:
    """YAML 1.1 reads 4e-4 (no dot) as text; nobody who writes it means text."""
    config = load_config(
        "sed-m2d", ["optim.lr=4e-4", "augment.freq_warp=[6e-1, 1]", "optim.betas=[0.9, 99e-2]"]
    )
    assert isinstance(config, SedConfig)
    assert (config.optim.lr, config.augment.freq_warp, config.optim.betas) == (4e-4, (0.6, 1.0), (0.9, 0.99))


def test_without_a_folder_a_run_is_named_by_its_configuration() -> None:
    assert load_config("sed-m2d").out == Path("runs/sed-m2d")
    assert load_config("sed-m2d-tiny").out == Path("runs/sed-m2d-tiny")


def test_what_was_resolved_reads_back_as_itself() -> None:
    """The `config.yaml` saved with a run repeats it."""
    import yaml

    config = load_config("separator-iterative-3", ["loop.seed=7"])
    assert parse_config(yaml.safe_load(config.to_yaml()), where="saved") == config
    again = parse_config(yaml.safe_load(config.to_yaml()), where="saved")
    assert again.config_hash == config.config_hash != load_config("separator-iterative-3").config_hash


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("optim.lrate=1", ["optim.lrate", "unknown key", "did you mean optim.lr"]),
        ("optim.lr=fast", ["optim.lr", "'fast'", "above 0"]),
        ("optim.lr=-1", ["optim.lr", "-1", "above 0"]),
        ("optim.lr=.inf", ["optim.lr", "finite"]),
        ("loop.precision=fp8", ["loop.precision", "fp32, fp16 or bf16"]),
        ("loop.batch_size=2.5", ["loop.batch_size", "2.5"]),
        ("model.preset=x", ["model.preset", "unknown key"]),
        ("data.splits=[train, train]", ["data.splits", "different names"]),
        ("augment.freq_warp=[1, 0.5]", ["augment.freq_warp", "low end"]),
        ("task=sing", ["task", "tagger, sed, separator"]),
        ("loop.accumulate=5", ["loop.accumulate", "32", "divisor"]),
        ("schedule.warmup_steps=25000", ["schedule.warmup_steps", "25000"]),
        ("data", ["KEY=VALUE"]),
        ("data.recipe.x=1", ["data.recipe", "not a section"]),
    ],
)
def test_a_wrong_key_or_value_is_named_with_what_is_allowed(override: str, words: list[str]) -> None:
    """A typing error costs seconds, not a night."""
    with pytest.raises(SynthError) as error:
        load_config("sed-m2d", [override])
    assert all(word in str(error.value) for word in words)


def test_all_faults_of_a_file_are_told_at_once() -> None:
    with pytest.raises(SynthError, match=r"(?s)2 problem.*loop\.stepz.*optim\.lr_new"):
        load_config("separator-resunet", ["loop.stepz=1", "optim.lr_new=0"])


def test_the_task_decides_the_sections() -> None:
    assert isinstance(load_config("separator-resunet"), SeparatorConfig)
    with pytest.raises(SynthError, match="augment"):
        load_config("separator-resunet", ["augment.mixup=0.2"])


def test_changes_to_the_recipe_need_no_quotes() -> None:
    """`data.set=[targets.count=[1,2]]` is no YAML; each change can be written as a key of its own."""
    config = load_config(
        "separator-resunet-tiny",
        ["data.set.targets.count=[1,2]", "validation.set.rirs.sets=[dev]", "loop.seed=1"],
    )
    assert config.data.set == ("scene.duration=4.0", "scene.max_event_duration=4.0", "targets.count=[1,2]")
    assert config.validation.set == ("rirs.sets=[dev]",)
