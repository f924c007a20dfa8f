"""From a dataset to a record, and the name of a run."""

import copy
import json
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from bad_input import by_name, one_clear_error

import dmsc
from dmsc.correlation import Correlation
from dmsc.data import load_dataset
from dmsc.experiments import fitting, reader
from dmsc.experiments import run as experiment
from dmsc.experiments.records import load_records, save_record
from dmsc.experiments.run import describe, run_experiment, run_id, run_name, training_config
from dmsc.experiments.tables import committed_records, family_table, markdown_table, metrics_text, summarize
from dmsc.fusion import PLACES
from dmsc.methods import Baseline, Method
from dmsc.networks import Architecture, Conv
from dmsc.presets import BASELINES, METHODS, override, preset
from dmsc.selection import check_epochs
from dmsc.spectral import Reading


@pytest.fixture(scope="module")
def data():
    return dmsc.load_dataset("synthetic", n_samples=60, n_clusters=3, subspace_dim=2, ambient_dim=20, noise=0.0, seed=1)


@pytest.fixture
def method():
    return preset(
        "affinity",
        "synthetic",
        3,
        pretrain_epochs=30,
        finetune_epochs=30,
        coefficients_init="closed-form",
        dim=2,
        alpha=2.0,
    )


def test_record_is_whole_and_labels_are_the_metrics(data, method):
    found = run_experiment(data, method, device="cpu", progress=False)
    record = json.loads(json.dumps(found.record, allow_nan=False))
    assert record["format"] == 3 and record["run"] == run_id(data, method, 0)
    assert record["config"] == describe(data, method, 0) and record["device"] == "cpu"
    assert record["config"]["method"]["finetune_epochs"] == 30
    phases = {"setup", "pretrain", "finetune", "selection", "penalty", "clustering", "raw_baseline"}
    assert set(record["seconds"]) == phases
    assert {"torch", "numpy", "dmsc"} <= set(record["environment"]["versions"])
    for reading in ("plain", "paper", "selected"):
        expected = dmsc.metrics.score(data.y, found.labels[reading])
        assert {name: record["metrics"]["network"][reading][name] for name in expected} == pytest.approx(expected)
    for reading in ("plain", "paper"):
        eigengap = dmsc.metrics.eigengap(found.affinities[reading], 3)
        assert record["metrics"]["network"][reading]["eigengap"] == pytest.approx(eigengap)
    assert record["metrics"]["raw"]["plain"]["acc"] == 1.0  # independent linear subspaces: the raw data suffice
    assert (
        record["metrics"]["raw"]["ridge"]
        == record["selection"]["ridge"]
        == dmsc.self_expression.choose_ridge(dmsc.self_expression.unit_rows(data.Xs))
    )
    assert record["label_free"]["objective"] == found.histories["finetune"]["loss"][-1]
    assert record["shorter_than_paper"] is False
    assert [c["epoch"] for c in record["selection"]["candidates"][::2]] == list(range(3, 31, 3))
    last = record["selection"]["candidates"][-1]
    assert last["eigengap"] == record["metrics"]["network"][last["reading"]]["eigengap"]


def test_same_seed_gives_the_same_labels_bit_for_bit(data, method):
    first, second = (run_experiment(data, method, seed=5, device="cpu", progress=False) for _ in range(2))
    assert np.array_equal(first.coefficients, second.coefficients)
    for reading in ("plain", "paper"):
        assert np.array_equal(first.labels[reading], second.labels[reading])


def test_labels_touch_metrics_only(data, method):
    blind = dmsc.Dataset(data.name, data.Xs, None, data.view_names, data.n_clusters)
    seen, unseen = (run_experiment(d, method, device="cpu", progress=False) for d in (data, blind))
    assert np.array_equal(seen.coefficients, unseen.coefficients)
    for reading in ("paper", "selected"):
        assert np.array_equal(seen.labels[reading], unseen.labels[reading])
    assert set(unseen.record["metrics"]["network"]["plain"]) == {"eigengap"}


def test_labels_of_own_data_are_part_of_what_a_run_is(data, method):
    """Mended labels are another run, of the same training; published data are verified when they are read."""
    assert "labels_digest" not in describe(data, method, 0)
    own = [replace(data, preset="", y=y) for y in (data.y, data.y[::-1], None)]
    told = [describe(dataset, method, 0) for dataset in own]
    assert told[2]["labels_digest"] is None and len({config["labels_digest"] for config in told}) == 3
    assert len({run_name(config) for config in told}) == 3
    assert len({run_name(training_config(config)) for config in told}) == 1
    assert "labels_digest" not in describe(data.take_views(["view 0"]).take(range(9)), method, 0)


@pytest.mark.parametrize(
    ("dataset", "method", "words"),
    [
        ("digits", "affinity", ("dataset", "dmsc.load_dataset", "'digits'")),
        (None, "affinity", ("method", "dmsc.preset", "'affinity'")),
        (None, METHODS, ("method", "dmsc.preset", "dict")),
    ],
)
def test_names_in_place_of_a_dataset_or_method(data, dataset, method, words):
    one_clear_error(lambda: run_experiment(dataset or data, method), TypeError, words)


@pytest.mark.parametrize(("function", "calls"), [("finetune", 0), ("corrected_consistency", 9), ("select", 0)])
def test_interrupted_run_resumes_to_the_same_metrics(data, method, tmp_path, monkeypatch, function, calls):
    """Killed before fine-tuning, in its midst (between two checks of the labels), and when it was done."""
    expected = run_experiment(data, method, device="cpu", progress=False)
    folder = tmp_path / "checkpoints"
    module = {"select": experiment, "corrected_consistency": reader}.get(function, fitting)
    original, left = getattr(module, function), iter(range(calls))

    def killed(*args, **kwargs):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return original(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(module, function, killed)
        with pytest.raises(KeyboardInterrupt):
            run_experiment(data, method, device="cpu", checkpoint_dir=folder, checkpoint_every=7, progress=False)
    found = run_experiment(data, method, device="cpu", checkpoint_dir=folder, resume=True, progress=False)
    assert found.record["metrics"] == expected.record["metrics"]
    assert found.record["selection"] == expected.record["selection"]
    assert found.histories == expected.histories
    assert found.record["resumed"] is True


def test_single_view_methods_use_the_first_view(data):
    method = preset("dsc-l2", "synthetic", 3, pretrain_epochs=1, finetune_epochs=1)
    found = run_experiment(data, method, device="cpu", progress=False)
    assert len(found.model.encoders) == 1 and len(found.record["config"]["views"]) == 1


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_method_runs_from_data_to_record(name):
    data = dmsc.load_dataset("digits", n_per_class=3)
    options = {} if name != "listing" else {"architecture": METHODS["affinity"].architecture}
    method = preset(name, "digits", 10, pretrain_epochs=1, finetune_epochs=2, dim=1, **options)
    found = run_experiment(data, method, device="cpu", progress=False)
    used = 1 if method.fusion == "none" else 2
    assert len(found.model.decoders) == used == len(found.record["config"]["views"])
    assert found.coefficients.shape == (30, 30)
    assert json.loads(json.dumps(found.record, allow_nan=False))["metrics"].keys() == {"network", "raw"}


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_every_baseline_runs_from_data_to_record(name, data):
    found = run_experiment(data, preset(name, "synthetic", 3, dim=2), device="cpu")
    record = json.loads(json.dumps(found.record, allow_nan=False))
    assert record["metrics"]["baseline"].keys() == {"plain", "paper", "selected"}
    assert set(record["seconds"]) == {"solve", "penalty", "clustering"} and record["device"] == "cpu"
    assert found.coefficients.shape == (60, 60) and found.model is None and found.histories == {}
    assert record["config"]["method"]["algorithm"] == name


ANCHORED = {"pretrain_epochs": 10, "finetune_epochs": 6, "anchors": 20}


@pytest.mark.parametrize("name", ["dsc-l2", "affinity"])
def test_an_anchored_run_has_labels_and_a_record_that_tables_take(name, tmp_path):
    data = dmsc.load_dataset("synthetic", n_samples=120, n_clusters=3, subspace_dim=2, ambient_dim=20, noise=0.0)
    method = preset(name, "synthetic", 3, activation="none", **ANCHORED)
    found = run_experiment(data, method, device="cpu", progress=False)
    assert found.coefficients.shape == (120, 20) and found.anchors.shape == (20,) and found.affinities == {}
    assert np.array_equal(found.labels["selected"], found.labels["plain"]) and "paper" not in found.labels
    save_record(found.record, tmp_path / "run.json")
    (record,) = load_records(tmp_path)
    assert record["run"] == run_id(data, method, 0)
    network, raw = record["metrics"]["network"], record["metrics"]["raw"]
    assert network["plain"]["acc"] == network["selected"]["acc"] == raw["plain"]["acc"] == 1.0
    assert network["plain"]["eigengap"] > 0 and network.keys() == {"plain", "selected"}
    assert record["selection"]["rule"].startswith("none") and len(record["selection"]["candidates"]) == 1
    assert (record["selection"]["epoch"], record["selection"]["reading"]) == (6, "plain")
    assert 0 < record["label_free"]["self_expression_residual"] < 0.5
    row = summarize([record])[0]
    assert row["plain_acc"] == row["raw_plain_acc"] == 1.0 and np.isnan(row["paper_acc"])
    for table in (markdown_table, family_table):
        assert "100.0" in table([record])
    assert "the only choice: the plain reading after epoch 6" in metrics_text(record)


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.fusion in PLACES])
def test_spatial_fusion_has_anchors_too(name):
    data = dmsc.load_dataset("digits", n_per_class=3)
    found = run_experiment(data, preset(name, "digits", 10, **ANCHORED), device="cpu", progress=False)
    assert found.coefficients.shape == (30, 20) and len(found.histories["finetune"]["loss"]) == 6


@pytest.mark.parametrize("epochs", [0, 4, 6])
def test_an_interrupted_anchored_run_goes_on_as_if_nothing_had_happened(data, tmp_path, monkeypatch, epochs):
    """Killed after so many of its six epochs of fine-tuning."""
    method = preset("affinity", "synthetic", 3, **ANCHORED)
    options = {"device": "cpu", "progress": False, "checkpoint_every": 2}
    expected = run_experiment(data, method, **options)
    with monkeypatch.context() as patch:
        whole = fitting.finetune_anchored

        def killed(*given, **settings):
            whole(*given, **{**settings, "epochs": epochs})
            raise KeyboardInterrupt

        patch.setattr(fitting, "finetune_anchored", killed)
        with pytest.raises(KeyboardInterrupt):
            run_experiment(data, method, checkpoint_dir=tmp_path, **options)
    found = run_experiment(data, method, checkpoint_dir=tmp_path, resume=True, **options)
    assert found.record["resumed"] and found.histories == expected.histories
    assert np.array_equal(found.coefficients, expected.coefficients)
    for part in ("metrics", "selection", "label_free"):
        assert found.record[part] == expected.record[part]


def test_affinity_fusion_of_one_view_is_dsc():
    data = dmsc.load_dataset("digits", n_per_class=3)
    image = dmsc.Dataset("digits", data.Xs[:1], data.y, data.view_names[:1])
    short = {"pretrain_epochs": 2, "finetune_epochs": 3, "dim": 1}
    dsc, affinity = (
        run_experiment(image, preset(name, "digits", 10, **short), device="cpu", progress=False)
        for name in ("dsc-l2", "affinity")
    )
    assert dsc.histories == affinity.histories
    assert np.array_equal(dsc.coefficients, affinity.coefficients)


def test_as_many_clusters_as_samples_still_gives_a_record():
    """There is no eigenvalue after the last one, so no eigengap: not an error after the training."""
    rng = np.random.default_rng(0)
    data = dmsc.Dataset("singles", [rng.normal(size=(4, 6))], np.arange(4))
    method = preset("dsc-l2", "singles", 4, pretrain_epochs=1, finetune_epochs=1, dim=1)
    with pytest.warns(UserWarning, match="rank"):  # an epoch makes no four clusters
        scores = run_experiment(data, method, device="cpu", progress=False).record["metrics"]["network"]
    assert scores["plain"]["acc"] == 1.0 and scores["plain"]["eigengap"] is None


@pytest.mark.parametrize("solver", ["closed-form", "scale-path"])
def test_solvers_go_from_data_to_record_and_resume(data, method, solver, tmp_path, monkeypatch):
    chosen = override(method, solver=solver, schedule="cosine", pretrain_batch_size=20)
    assert run_id(data, chosen, 0) != run_id(data, method, 0)
    options = {"device": "cpu", "checkpoint_every": 4, "progress": False}
    whole = run_experiment(data, chosen, **options)
    assert whole.record["config"]["method"]["solver"] == solver
    epochs = [c["epoch"] for c in whole.record["selection"]["candidates"][::2]]
    assert epochs == ([*range(-9, 0), 30] if solver == "scale-path" else [*range(3, 31, 3)])

    class Stop(Exception):
        pass

    steps, step = [], torch.optim.Adam.step

    def stopping(optimizer, *given):
        steps.append(1)
        if len(steps) == 30 * 3 + 10:  # 30 epochs of pre-training take three batches each
            raise Stop
        return step(optimizer, *given)

    with monkeypatch.context() as patch:
        patch.setattr(torch.optim.Adam, "step", stopping)
        with pytest.raises(Stop):
            run_experiment(data, chosen, checkpoint_dir=tmp_path, **options)
    again = run_experiment(data, chosen, checkpoint_dir=tmp_path, resume=True, **options)
    assert again.record["resumed"] is True
    assert np.array_equal(again.coefficients, whole.coefficients)
    assert again.record["metrics"] == whole.record["metrics"]


def test_stopping_early_is_said(data, method):
    """Here at an epoch that is checked anyway; it counts once."""
    chosen = override(method, finetune_epochs=110, finetune_tolerance=1e9, paper_epochs=30)
    found = run_experiment(data, chosen, device="cpu", progress=False)
    ran = len(found.histories["finetune"]["loss"])
    assert ran == check_epochs(110)[0] and found.record["shorter_than_paper"] is True
    looks = [(candidate["epoch"], candidate["reading"]) for candidate in found.record["selection"]["candidates"]]
    assert looks == [(ran, "plain"), (ran, "paper")]


#: Another value for every setting of a network.
CHANGES = {
    "name": "other",
    "fusion": "late",
    "fusion_function": "sum",
    "architecture": Architecture(dense=(7,)),
    "loss": dmsc.losses.LossWeights(norm=1),
    "reading": Reading(dim=3),
    "scale": "unit",
    "input_scale": 2.0,
    "n_neighbors": 7,
    "neighbors": "coefficients",
    "coefficients_init": "closed-form",
    "zero_diagonal": True,
    "pretrain_epochs": 7,
    "pretrain_batch_size": None,
    "finetune_epochs": 7,
    "learning_rate": 0.1,
    "network_learning_rate": 0.1,
    "coefficients_learning_rate": 0.1,
    "solver": "closed-form",
    "schedule": "cosine",
    "pretrain_tolerance": 0.1,
    "finetune_tolerance": 0.1,
    "precision": "bf16",
    "paper_epochs": 7,
    "correlation": Correlation(),
    "anchors": 7,
}


def test_every_change_gives_another_name_and_prose_does_not(data, tmp_path):
    (tmp_path / "a.pt").write_bytes(b"saved autoencoders")
    elsewhere = {"source", "pretrained", "pretrain_through"}  # among the parts
    assert set(CHANGES) | elsewhere == {field.name for field in fields(Method)}
    plain = Method("m", "mine", "affinity")
    one = replace(data, Xs=data.Xs[:1], view_names=data.view_names[:1])
    name = run_id(data, plain, 0)
    assert run_id(data, replace(plain, source="yours"), 0) == name == run_id(data, replace(plain), 0)
    names = [run_id(data, replace(plain, **{setting: value}), 0) for setting, value in CHANGES.items()]
    parts = [
        {"architecture": Architecture((Conv(9, 3), Conv(20, 3)))},
        {"architecture": Architecture((Conv(10, 3, 1), Conv(20, 3)))},
        {"architecture": Architecture((Conv(10, 3, padding=1), Conv(20, 3)))},
        {"architecture": Architecture((Conv(10, 3, padding=1, decoder_padding=0), Conv(20, 3)))},
        {"loss": dmsc.losses.LossWeights((0.5,))},
        {"loss": dmsc.losses.LossWeights((1.0,), (0.5,))},
        {"reading": Reading(unit_diagonal=True)},
        {"reading": Reading(affinity="plain")},
        {"correlation": Correlation(n_correlations=3)},
        {"correlation": Correlation(covariance_ridge=0.1)},
        {"pretrained": str(tmp_path / "a.pt")},
        {"pretrain_through": "coefficients", "pretrain_batch_size": None},
    ]
    names += [run_id(data, replace(plain, **part), 0) for part in parts]
    names += [run_id(data, plain, 1), run_id(replace(data, name="other"), plain, 0)]
    names += [
        run_id(replace(data, Xs=[2 * X for X in data.Xs]), plain, 0),
        run_id(replace(data, n_clusters=4), plain, 0),
    ]
    names += [run_id(replace(data, variant="noise 0.5"), plain, 0), run_id(one, plain, 0)]
    assert len({name, *names}) == len(names) + 1


def test_names_of_baselines(data):
    plain = Baseline("b", "mine", "ssc", {"alpha": 20.0})
    name = run_id(data, plain, 0)
    assert run_id(data, replace(plain, source="yours"), 0) == name
    others = [
        replace(plain, name="c"),
        replace(plain, algorithm="lrr"),
        replace(plain, parameters={"alpha": 2.0}),
        replace(plain, parameters={}),
        replace(plain, reading=Reading(dim=1)),
    ]
    assert len({name, *(run_id(data, other, 0) for other in others)}) == 6


def settings_of(value, path=()):
    """Return the way to every setting inside a description in JSON."""
    if isinstance(value, dict):
        return [way for name, part in value.items() for way in ((*path, name), *settings_of(part, (*path, name)))]
    if isinstance(value, list):
        return [way for place, part in enumerate(value) for way in settings_of(part, (*path, place))]
    return []


#: Settings that equal a default, and some that don't, in descriptions of the presets.
DEFAULTS = {
    ("cmsc-dcca", "digits"): (
        ["correlation.covariance_ridge", "architecture.convolutions.0.decoder_padding", "reading.affinity", "solver"],
        ["fusion", "architecture.convolutions", "architecture.convolutions.0.channels", "correlation"],
    ),
    ("affinity", "bdgp"): (
        ["loss.norm", "architecture.convolutions.0.stride", "reading.dim", "fusion_function", "correlation"],
        ["fusion", "loss.lambda_self_expression", "zero_diagonal", "finetune_epochs", "reading.alpha"],
    ),
    ("lrr", "orl"): (
        ["reading.assign", "reading.ratio", "reading.unit_diagonal"],
        ["algorithm", "parameters.penalty", "parameters.n_components", "reading.dim"],
    ),
}


@pytest.mark.parametrize(("method", "dataset"), DEFAULTS)
def test_a_setting_that_is_added_later_does_not_rename_a_run(data, method, dataset):
    """A description from before it came, which lacks it, is that of the run with its default; of layers too."""
    config = json.loads(json.dumps(describe(data, preset(method, dataset, 5), 0)))
    name = run_name(config)
    assert name == run_id(data, preset(method, dataset, 5), 0)
    without, told = [], []
    for way in settings_of(config["method"]):
        older = copy.deepcopy(config)
        *outer, setting = way
        part = older["method"]
        for step in outer:
            part = part[step]
        part.pop(setting)
        if way != ("name",):
            (without if run_name(older) == name else told).append(".".join(map(str, way)))
    assert set(DEFAULTS[method, dataset][0]) | {"source"} <= set(without)
    assert set(DEFAULTS[method, dataset][1]) <= set(told)


def test_names_say_what_they_can(data, method):
    name = run_id(data, method, 12)
    assert name.startswith("synthetic-affinity-seed12-") and len(name.rpartition("-")[2]) == 8
    int(name.rpartition("-")[2], 16)


CASES = [
    *(
        (
            f"baseline on {device}",
            lambda device=device: run_experiment(
                dmsc.load_dataset("digits", n_per_class=2), BASELINES["ssc"], device=device
            ),
            ValueError,
            ("ssc", "CPU", repr(device)),
        )
        for device in ("cuda", "cuda:1", "mps", "meta", "tpu")
    ),
    *(
        (
            f"network on {device}",
            lambda device=device: run_experiment(
                dmsc.load_dataset("digits", n_per_class=2), preset("dsc-l2", "digits", 10), device=device
            ),
            ValueError,
            repr(device),
        )
        for device in ("mps", "xla", "meta", "cuda:99", "tpu")
    ),
    (
        "seed",
        lambda: run_experiment(dmsc.load_dataset("digits", n_per_class=2), preset("dsc-l2", "digits", 10), seed=-1),
        ValueError,
        ("seed", "-1"),
    ),
]


@by_name(CASES)
def test_bad_input(call, error, words):
    one_clear_error(call, error, words)


@pytest.mark.parametrize("device", ["auto", "cpu", torch.device("cpu")])
def test_baselines_run_on_the_cpu(data, device):
    assert run_experiment(data, BASELINES["ridge"], device=device).record["device"] == "cpu"


def test_a_full_disk_ends_a_run_in_one_line_and_leaves_the_last_checkpoint(data, method, tmp_path, monkeypatch):
    """What is there is what the run goes on from."""
    written, save = [], torch.save

    def full(content, file):
        written.append(content["epoch"])
        if content["step"] == "finetune" and content["epoch"] == 14:
            file.write_bytes(b"half")
            raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 1408 vs 1302\n\n0x123")
        save(content, file)

    monkeypatch.setattr(torch, "save", full)
    options = {"device": "cpu", "checkpoint_every": 7, "progress": False, "checkpoint_dir": tmp_path}
    one_clear_error(lambda: run_experiment(data, method, **options), OSError, ("AE2.pt", "disk"))
    looks = {f"C-{epoch}.npy" for epoch in check_epochs(method.finetune_epochs) if epoch <= 13}
    assert {file.name for file in tmp_path.iterdir()} == {"AE1.pt", "AE2.pt", "seconds.txt", *looks}
    monkeypatch.undo()
    resumed = run_experiment(data, method, resume=True, **options)
    assert np.array_equal(resumed.coefficients, run_experiment(data, method, device="cpu", progress=False).coefficients)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("orl", "ORL_32x32.mat"),
        ("coil20", "COIL20.mat"),
        ("coil20_edges", "COIL20.mat"),
        ("eyaleb", "YaleB_48x42.mat"),
        ("eyaleb_components", "YaleB_48x42.mat"),
        ("mnist_usps_32", "MNIST_USPS.mat"),
        ("hw2sources", "multiview/HW2sources.mat"),
        ("mnist_edges", "t10k-images-idx3-ubyte.gz"),
        ("bdgp", "BDGP.mat"),
    ],
)
def test_the_committed_records_are_of_the_data_as_they_load_here(name, file, real_data):
    """Else a sweep would do them all again, as it once did on a CPU with other instructions."""
    real_data(file)
    data = load_dataset(name)
    hashes = {record["config"]["data_digest"] for record in committed_records(datasets=[name], studies=["papers"])}
    assert hashes == {describe(data, preset("affinity", name, data.n_clusters), 0)["data_digest"]}


def test_precision_by_rule_is_told_and_part_of_checkpoints(data, method, tmp_path, monkeypatch):
    found, chosen = {}, replace(method, precision="auto", pretrain_epochs=2, finetune_epochs=2)
    for name in ("float32", "bf16"):
        monkeypatch.setattr(fitting, "fast_precision", lambda device, name=name: name)
        options = {"device": "cpu", "progress": False, "checkpoint_dir": tmp_path / name}
        found[name] = run_experiment(data, chosen, **options)
        assert found[name].record["label_free"]["chosen"] == {"precision": name}
        assert found[name].record["config"]["method"]["precision"] == "auto"
        fixed = run_experiment(data, replace(chosen, precision=name), device="cpu", progress=False)
        assert np.array_equal(fixed.coefficients, found[name].coefficients)
        assert "chosen" not in fixed.record["label_free"]
    assert found["float32"].record["run"] == found["bf16"].record["run"] != fixed.record["run"]
    options |= {"checkpoint_dir": tmp_path / "float32", "resume": True}
    one_clear_error(lambda: run_experiment(data, chosen, **options), ValueError, ("precision", "'float32' -> 'bf16'"))
