"""Saved autoencoders: every layout gives the same network, and what doesn't fit changes nothing."""

import copy

import numpy as np
import pytest
import torch
from bad_input import one_clear_error

from dmsc.data import load_dataset
from dmsc.devices import as_tensors, seed_everything
from dmsc.experiments import autoencoders as module
from dmsc.experiments.autoencoders import AUTHORS, autoencoders_file, describe_autoencoders, load_autoencoders
from dmsc.experiments.fitting import build_model
from dmsc.experiments.run import describe, run_experiment, run_id
from dmsc.model import SubspaceNetwork
from dmsc.networks import Architecture, Conv
from dmsc.presets import preset

NET = Architecture((Conv(4, 3, 2), Conv(5, 3, 2)), output_activation="relu")
DEEPER = Architecture((Conv(4, 3), Conv(5, 3), Conv(6, 3)))
SHORT = {"pretrain_epochs": 2, "finetune_epochs": 2, "dim": 2}


def network(seed, n_samples=6, views=1, architecture=NET):
    seed_everything(seed)
    return SubspaceNetwork([(1, 8, 8)] * views, n_samples, architecture)


def port(model):
    """The state dict that the public port of DSC-Net would have."""
    state = {}
    for ours, theirs in (("encoders", "encoder.conv"), ("decoders", "decoder.deconv")):
        layers = [layer for layer in getattr(model, ours)[0] if hasattr(layer, "weight")]
        for i, layer in enumerate(layers, start=1):
            state |= {f"{theirs}{i}.weight": layer.weight.detach(), f"{theirs}{i}.bias": layer.bias.detach()}
    return state


def saved(tmp_path, content):
    torch.save(content, tmp_path / "saved.pt")
    return str(tmp_path / "saved.pt")


@pytest.mark.parametrize("layout", ["state dict", "checkpoint", "port"])
def test_every_layout_gives_the_autoencoders_and_leaves_c(tmp_path, layout):
    theirs, mine, X = network(0, n_samples=9), network(1), torch.rand(3, 1, 8, 8)
    content = {"state dict": theirs.state_dict(), "checkpoint": {"format": 1, "model": theirs.state_dict()}}
    mine.self_expression.set_coefficients(C := torch.rand(6, 6))
    load_autoencoders(mine, saved(tmp_path, content.get(layout, port(theirs))))
    assert torch.equal(mine.autoencode([X])[0], theirs.autoencode([X])[0])
    assert torch.equal(mine.self_expression.weight, C)


def test_a_network_for_transposed_images_is_turned(tmp_path, monkeypatch):
    theirs, mine, X = network(0), network(1), torch.rand(3, 1, 8, 8)
    path = saved(tmp_path, port(theirs))
    monkeypatch.setitem(AUTHORS, path, True)
    load_autoencoders(mine, path)
    upright = theirs.autoencode([X.transpose(2, 3)])[0].transpose(2, 3)
    torch.testing.assert_close(mine.autoencode([X])[0], upright)


def test_a_run_starts_from_the_file_and_its_record_names_it_without_folders(tmp_path):
    data = load_dataset("digits", n_per_class=6)
    first = run_experiment(data, preset("dsc-l2", "digits", 10, **SHORT), checkpoint_dir=tmp_path, progress=False)
    path = str(tmp_path / "AE1.pt")
    method = preset("dsc-l2", "digits", 10, **(SHORT | {"pretrained": path, "pretrain_epochs": 0}))
    second = run_experiment(data, method, progress=False)
    error = "pretrain_reconstruction_error"
    assert second.record["label_free"][error] == pytest.approx(first.record["label_free"][error])
    config = second.record["config"]
    assert config["method"]["pretrained"] == "AE1.pt" and str(tmp_path) not in str(config)
    assert np.array_equal(first.coefficients, second.coefficients)
    torch.save(torch.load(path, weights_only=True) | {"epoch": 99}, path)
    assert run_id(data, method, 0) != second.record["run"]  # another file is another run


def test_saved_autoencoders_are_taken_as_they_are_unless_epochs_are_asked_for():
    name = "dsc_weights/orl.pkl"
    assert preset("dsc-l2", "orl", 40, pretrained=name).pretrain_epochs == 0
    assert preset("dsc-l2", "orl", 40, pretrained=name, pretrain_epochs=7).pretrain_epochs == 7
    assert preset("dsc-l2", "orl", 40).pretrain_epochs == 1000


@pytest.mark.parametrize(
    ("dataset", "file", "error"),
    [("orl", "orl", 0.0171), ("coil20", "coil20", 3e-6), ("eyaleb", "yaleb", 0.0016)],
)
def test_the_authors_autoencoders_reconstruct_the_papers_data(real_data, dataset, file, error):
    """Turned the wrong way, or on pixels of another scale, they would not."""
    real_data(f"dsc_weights/{file}.pkl")
    real_data({"orl": "ORL_32x32.mat", "coil20": "COIL20.mat", "eyaleb": "YaleB_48x42.mat"}[dataset])
    data = load_dataset(dataset)
    method = preset("dsc-l2", dataset, data.n_clusters, pretrained=f"dsc_weights/{file}.pkl")
    model = build_model(data, method)
    load_autoencoders(model, method.pretrained)
    (X,) = as_tensors(data.Xs, "cpu", method.input_scale)
    with torch.no_grad():
        assert (model.autoencode([X])[0] - X).square().sum() / X.square().sum() < error
    assert describe(data, method, 0)["method"]["pretrained"] == f"dsc_weights/{file}.pkl"


CASES = [
    ("other widths", lambda p: saved(p, network(0, architecture=Architecture((Conv(3, 3),))).state_dict()),
     ("saved.pt holds autoencoders", "3 × 1 × 3 × 3", "the model has 4 × 1 × 3 × 3")),
    ("more layers", lambda p: saved(p, port(network(0, architecture=DEEPER))),
     ("saved.pt holds autoencoders", "6 × 5 × 3 × 3")),
    ("two views", lambda p: saved(p, network(0, views=2).state_dict()), ("saved.pt holds autoencoders",)),
    ("no state dict", lambda p: saved(p, [1, 2]), ("holds no state dict",)),
    ("other tensors", lambda p: saved(p, {"a": torch.ones(2)}), ("weights nothing",)),
]  # fmt: skip


@pytest.mark.parametrize(("make", "words"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_does_not_fit_is_refused_and_changes_nothing(tmp_path, make, words):
    model = network(1)
    before, path = copy.deepcopy(model.state_dict()), make(tmp_path)
    one_clear_error(lambda: load_autoencoders(model, path), ValueError, words)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def damaged(tmp_path):
    (tmp_path / "a.pt").write_bytes(b"<html>")
    return load_autoencoders(network(0), str(tmp_path / "a.pt"))


def test_a_damaged_or_missing_file_is_named(tmp_path):
    one_clear_error(lambda: damaged(tmp_path), ValueError, ("a.pt", "can't be read"))
    one_clear_error(lambda: autoencoders_file("none.pt"), FileNotFoundError, ("'none.pt'", "dsc_weights/orl.pkl"))
    one_clear_error(lambda: describe_autoencoders(str(tmp_path)), FileNotFoundError, (str(tmp_path),))


def test_authors_files_are_known():
    assert set(AUTHORS) == {name for name in module.KNOWN_FILES if name.startswith("dsc_weights/")}
