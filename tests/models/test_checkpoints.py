"""Files from elsewhere become nets with every key accounted for, and nothing in them is run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from models.backbones import create_backbone
from models.checkpoints import (
    Origin,
    export_reference,
    import_weights,
    load_model,
    load_unused,
    save_model,
)
from models.checkpoints.hub import HubModel, from_pretrained, push_to_hub
from models.errors import ModelError
from models.sed import create_sed
from models.separator import GuidedSeparator, create_separator
from models.taggers import create_tagger

SEED = {"seed": 3}


def guided() -> GuidedSeparator:
    sed = create_sed("m2d", size="tiny", sample_rate=32000)
    maps = {"features": sed.backbone.feature_maps, "feature_width": sed.backbone.feature_dim}
    return GuidedSeparator(create_separator("cpjku_iterative-tiny", **maps), sed)


ORIGINALS: dict[str, Any] = {
    "beats": (lambda: create_sed("beats", size="tiny"), {"size": "tiny"}),
    "atst": (lambda: create_sed("atst", size="tiny"), {"size": "tiny"}),
    "fpasst": (lambda: create_sed("fpasst", size="tiny"), {"size": "tiny"}),
    "m2d": (lambda: create_sed("m2d", size="tiny"), {"size": "tiny"}),
    "asit": (lambda: create_sed("asit", size="tiny"), {"size": "tiny"}),
    "cpjku-sed": (
        lambda: create_sed("m2d", size="tiny", sample_rate=32000, head_norm=True),
        {"size": "tiny"},
    ),
    "baseline2025": (lambda: create_tagger("baseline2025", size="tiny"), {"size": "tiny"}),
    "baseline2026": (lambda: create_tagger("baseline2026_4c", size="tiny"), {"size": "tiny"}),
    "audiosep": (lambda: create_separator("audiosep-tiny"), {"hop": 80}),
    "cpjku-separator": (lambda: create_separator("cpjku_iterative-tiny"), {"hop": 80}),
}
PREFIXES = {"audiosep": "ss_model.", "cpjku-separator": "model.", "baseline2025": "model."}


def shaken(model: torch.nn.Module) -> torch.nn.Module:
    """The net with other than its initial values, running statistics included."""
    for index, tensor in enumerate(model.state_dict().values()):
        if tensor.is_floating_point():
            tensor.add_(0.01 * torch.linspace(0, index % 7 + 1, tensor.numel()).sin().reshape(tensor.shape))
    return model


@pytest.mark.parametrize("kind", ORIGINALS)
def test_a_checkpoint_goes_there_and_back_without_loss(kind: str, tmp_path: Path) -> None:
    make, options = ORIGINALS[kind]
    original = shaken(make())
    state = export_reference(original)
    state = {key: value + 0.5 if value.is_floating_point() and _unused(original, key) else value
             for key, value in state.items()}  # fmt: skip
    prefix = PREFIXES.get(kind, "")
    torch.save({"state_dict": {prefix + k: v for k, v in state.items()}, "epoch": 3}, tmp_path / "x.ckpt")
    done = import_weights(tmp_path / "x.ckpt", kind, tmp_path / "x.safetensors", settings=options)
    model = load_model(tmp_path / "x.safetensors")
    for key, tensor in original.state_dict().items():
        assert torch.equal(model.state_dict()[key], tensor), key
    back = export_reference(model, load_unused(tmp_path / "x.safetensors"))
    assert back.keys() == state.keys()
    for key, tensor in state.items():
        torch.testing.assert_close(back[key], tensor, atol=1e-7, rtol=0, msg=key)
    account = json.loads((tmp_path / "x.report.json").read_text())
    assert account["used"].keys() | account["dropped"].keys() == {prefix + key for key in state}
    assert account["unexpected"] == account["missing"] == []
    assert done.path == tmp_path / "x.safetensors"


def _unused(model: torch.nn.Module, key: str) -> bool:
    """Whether a reference key is one that our net does not have, transforms left out."""
    return "decoder_block" in key and "conv_block2" not in key and ("bn2" in key or "beta2" in key)


def test_a_separator_and_its_sed_model_come_in_one_file(tmp_path: Path) -> None:
    original = shaken(guided())
    state = export_reference(original)
    assert {key.split(".")[0] for key in state} == {"model", "embedding_model"}
    torch.save({"state_dict": state}, tmp_path / "x.ckpt")
    settings = {"hop": 80, "sed": {"size": "tiny"}}
    import_weights(tmp_path / "x.ckpt", "cpjku-separator", tmp_path / "x.safetensors", settings=settings)
    model = load_model(tmp_path / "x.safetensors")
    assert isinstance(model, GuidedSeparator)
    for key, tensor in original.state_dict().items():
        assert torch.equal(model.state_dict()[key], tensor), key
    back = export_reference(model, load_unused(tmp_path / "x.safetensors"))
    assert back.keys() == state.keys()
    for key, tensor in state.items():
        torch.testing.assert_close(back[key], tensor, atol=1e-7, rtol=0, msg=key)


def save_and_load(model: torch.nn.Module, path: Path) -> torch.nn.Module:
    return load_model(save_model(model, path))


def test_a_backbone_alone_is_imported_from_a_file_without_heads(tmp_path: Path) -> None:
    state = export_reference(shaken(create_backbone("atst", size="tiny")))
    torch.save(state, tmp_path / "x.pt")
    import_weights(tmp_path / "x.pt", "atst", tmp_path / "x.safetensors", settings={"size": "tiny"})
    assert load_model(tmp_path / "x.safetensors").name == "atst"


def test_audiosep_starts_another_separator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from models.checkpoints import importing

    monkeypatch.setattr(importing, "preset", lambda name: create_separator(f"{name}-tiny").config)
    original = shaken(create_separator("audiosep-tiny"))
    torch.save({f"ss_model.{k}": v for k, v in export_reference(original).items()}, tmp_path / "x.ckpt")
    done = import_weights(
        tmp_path / "x.ckpt", "audiosep", target="cpjku_iterative", settings={"hop": 80}, seed=1
    )
    again = import_weights(
        tmp_path / "x.ckpt", "audiosep", target="cpjku_iterative", settings={"hop": 80}, seed=1
    )
    other = import_weights(
        tmp_path / "x.ckpt", "audiosep", target="cpjku_iterative", settings={"hop": 80}, seed=2
    )
    one, two, three = (d.model.state_dict()["label_embedding.0.weight"] for d in (done, again, other))
    assert torch.equal(one, two)
    assert not torch.equal(one, three)
    assert len(done.translation.adapted) == 3
    assert "out_conv.weight" in done.translation.fresh


def test_half_precision_is_widened_and_noted(tmp_path: Path) -> None:
    state = {k: v.half() if v.is_floating_point() else v for k, v in export_reference(tiny()).items()}
    torch.save(state, tmp_path / "x.ckpt")
    done = import_weights(tmp_path / "x.ckpt", "baseline2025", settings={"hop": 80})
    assert {p.dtype for p in done.model.parameters()} == {torch.float32}
    assert done.translation.adapted["base.bn0.weight"] == "cast from float16"


def tiny() -> torch.nn.Module:
    return create_separator("baseline_resunet-tiny")


def refused(path: Path, kind: str = "baseline2025", **options: Any) -> ModelError:
    with pytest.raises(ModelError) as raised:
        import_weights(path, kind, path.with_name("out.safetensors"), settings={"hop": 80}, **options)
    assert str(path) in str(raised.value)
    return raised.value


def test_unexpected_missing_and_misshapen_keys_are_all_named(tmp_path: Path) -> None:
    state = export_reference(tiny())
    state["base.surprise"] = torch.zeros(3)
    state["base.pre_conv.bias"] = torch.zeros(5)
    del state["base.out_conv.bias"]
    torch.save({"state_dict": state}, tmp_path / "x.ckpt")
    state["base.bn0.bias"] = state["base.bn0.bias"].long()
    torch.save({"state_dict": state}, tmp_path / "x.ckpt")
    message = str(refused(tmp_path / "x.ckpt"))
    assert "base.bn0.bias holds torch.int64, expected torch.float32" in message
    assert "unexpected key base.surprise" in message
    assert "base.pre_conv.bias has shape (5,), expected (8,)" in message
    assert "missing key for out_conv.bias" in message
    assert not list(tmp_path.glob("out*"))


def test_counters_and_transforms_may_be_missing(tmp_path: Path) -> None:
    state = export_reference(tiny())
    slim = {k: v for k, v in state.items() if "stft" not in k and not k.endswith("num_batches_tracked")}
    torch.save(slim, tmp_path / "x.ckpt")
    import_weights(tmp_path / "x.ckpt", "baseline2025", settings={"hop": 80})


def test_a_saved_net_answers_the_same(tmp_path: Path) -> None:
    model = shaken(tiny()).eval()
    for place in (tmp_path / "x.safetensors", tmp_path / "folder"):
        again = save_and_load(model, place)
        mixture, labels = torch.linspace(0, 9, 4 * 800).sin().reshape(1, 4, 800), torch.eye(18)[None, :1]
        assert torch.equal(again(mixture, labels), model(mixture, labels))
    assert (tmp_path / "x.json").exists()
    assert (tmp_path / "folder" / "config.json").exists()
    assert "51,531 parameters" in (tmp_path / "folder" / "README.md").read_text()


def test_foreign_or_damaged_safetensors_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    for metadata in (None, {"s5kit": "[" * 100_000}, {"s5kit": '{"format": 1}'}, {"s5kit": "{}"}):
        save_file({"a": torch.zeros(2)}, path, metadata=metadata)
        with pytest.raises(ModelError, match=r"import it|save"):
            load_model(path)
    describe = {"format": 1, "family": "separator", "config": {"mics": "many"}}
    save_file({"a": torch.zeros(2)}, path, metadata={"s5kit": json.dumps(describe)})
    with pytest.raises(ModelError, match="mics"):
        load_model(path)
    with pytest.raises(ModelError, match=r"X\.safetensors"):
        save_model(tiny(), tmp_path / "x.pt")
    with pytest.raises(ModelError, match="cannot be described"):
        save_model(torch.nn.Linear(1, 1), path)


def test_the_hub_sees_our_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub")
    model = shaken(tiny()).eval()
    HubModel(model).save_pretrained(tmp_path / "net")
    assert {p.name for p in (tmp_path / "net").iterdir()} == {"config.json", "model.safetensors", "README.md"}
    net = HubModel.from_pretrained(str(tmp_path / "net")).net
    assert torch.equal(net.bn0.weight, model.bn0.weight)

    monkeypatch.setattr(hub, "hf_hub_download", lambda repo, name, **_: str(tmp_path / "net" / name))
    monkeypatch.setattr(
        "huggingface_hub.hub_mixin.hf_hub_download",
        lambda repo_id, filename, **_: str(tmp_path / "net" / filename),
    )
    assert torch.equal(from_pretrained("someone/net").bn0.weight, model.bn0.weight)


def test_weights_that_may_not_be_shared_stay_here(tmp_path: Path) -> None:
    save_model(tiny(), tmp_path / "x.safetensors", origin=Origin("m2dat.ckpt", "NTT", share=False))
    with pytest.raises(ModelError, match="may not be passed on"):
        push_to_hub(load_model(tmp_path / "x.safetensors"), "someone/net")
    assert "may not be passed on" in (tmp_path / "x.md").read_text()
