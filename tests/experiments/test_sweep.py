"""Studies: checked as a whole, run one after the other, and gone on with after whatever stopped them."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from bad_input import one_clear_error

import dmsc
from dmsc import training
from dmsc.data.corruption import corrupt
from dmsc.data.files import KNOWN_FILES
from dmsc.experiments import sweep as module
from dmsc.experiments.records import RESULTS, load_records, move_to_study
from dmsc.experiments.run import run_id
from dmsc.experiments.studies import STUDIES, read_study, study_path
from dmsc.experiments.sweep import sweep
from dmsc.experiments.tables import complete
from dmsc.paths import ROOT
from dmsc.presets import preset

TINY = {
    "datasets": {"synthetic": {"options": {"n_samples": 24, "ambient_dim": 6}}},
    "methods": ["kmeans", "dsc-l2"],
    "seeds": [0, 1],
    "settings": {"pretrain_epochs": 1, "finetune_epochs": 2, "dim": 2},
}
DIVERGING = {"dsc-l2": {"learning_rate": 1.0e15, "pretrain_epochs": 20}}


def study(tmp_path, content=None, name="tiny.yaml", **changes):
    """Write a study file; a text as it is."""
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else yaml.safe_dump({**(content or TINY), **changes}))
    return path


@pytest.fixture
def folders(tmp_path):
    return {"store": tmp_path / "runs", "results": tmp_path / "results"}


def names(path):
    return [run.name for run in read_study(path)]


# Reading


def test_a_run_is_one_of_each(tmp_path):
    path = study(tmp_path, corruptions=[{}, {"noise": 0.5}])
    data = dmsc.load_dataset("synthetic", n_samples=24, ambient_dim=6)
    expected = []
    for seed in (0, 1):
        for dataset in (data, corrupt(data, noise=0.5, seed=seed)):  # the corruption has the run's seed
            for name in ("kmeans", "dsc-l2"):
                settings = {} if name == "kmeans" else TINY["settings"]  # settings are of networks
                expected.append(run_id(dataset, preset(name, "synthetic", 3, **settings), seed))
    assert names(path) == expected
    assert all(run.name == run_id(run.dataset, run.method, run.seed) for run in read_study(path))


def test_what_belongs_to_a_dataset_or_a_method_comes_after_what_belongs_to_all(tmp_path):
    block = {**TINY["datasets"]["synthetic"], "settings": {"finetune_epochs": 5}, "seeds": 7}
    methods = {"dsc-l2": [{}, {"finetune_epochs": 9, "convolutions": [[4, 3, 2]]}], "ridge": {"ridge": 0.5}}
    runs = read_study(study(tmp_path, datasets={"synthetic": block}, methods=methods))
    assert [getattr(run.method, "finetune_epochs", None) for run in runs] == [5, 9, None]
    assert {run.seed for run in runs} == {7} and runs[2].method.parameters == {"ridge": 0.5}
    assert runs[1].method.architecture.convolutions[0].channels == 4


def test_a_dataset_may_have_the_settings_of_another_or_those_for_data_of_ones_own(tmp_path):
    options = {"n_per_class": 5}
    blocks = {"digits": {"options": options}, "synthetic": {"preset": "digits"}}
    include = [{"datasets": {"digits": {"preset": "own"}}, "methods": {"local": [{}, {"neighbors": "coefficients"}]}}]
    runs = read_study(study(tmp_path, {"datasets": blocks, "methods": ["affinity"], "include": include}))
    assert [run.method for run in runs] == [
        preset("affinity", "digits", 10),
        preset("affinity", "digits", 3),
        preset("local", "", 10),
        preset("local", "", 10, neighbors="coefficients"),
    ]
    assert len(runs[2].whole.Xs[0]) == 50 and "labels_digest" not in runs[2].config  # its data are as they were


def test_datasets_may_be_names_alone_and_seeds_may_be_left_out(tmp_path):
    (run,) = read_study(study(tmp_path, {"datasets": ["digits"], "methods": ["kmeans"]}))
    assert (run.whole.name, run.seed, run.corruption) == ("digits", 0, {})


def test_include_adds_and_exclude_takes_away(tmp_path):
    include = [
        {"methods": {"affinity": [{"dim": 3}]}, "seeds": [5]},  # datasets, their options, settings: as above
        {"datasets": {"synthetic": {"options": {"n_samples": 30}}}, "methods": ["kmeans"], "seeds": [0]},
    ]
    exclude = [{"methods": ["dsc-l2"], "seeds": [1]}]
    runs = read_study(study(tmp_path, include=include, exclude=exclude))
    kinds = [(run.method.name, run.seed, run.whole.n_samples) for run in runs]
    assert kinds == [("kmeans", 0, 24), ("dsc-l2", 0, 24), ("kmeans", 1, 24), ("affinity", 5, 24), ("kmeans", 0, 30)]
    assert runs[3].method.reading.dim == 3 and runs[3].method.finetune_epochs == 2


def test_corruptions_can_be_excluded(tmp_path):
    corruptions = [{}, {"missing": 0.3}]
    exclude = [{"methods": ["kmeans"], "corruptions": [{"missing": 0.3}]}]
    runs = read_study(study(tmp_path, corruptions=corruptions, exclude=exclude))
    assert [(run.method.name, bool(run.corruption)) for run in runs if run.seed == 0] == [
        ("kmeans", False),
        ("dsc-l2", False),
        ("dsc-l2", True),
    ]


def test_a_study_is_named_by_its_file_or_its_place_in_the_repository(tmp_path):
    assert study_path("family").samefile(STUDIES / "family.yaml")
    path = study(tmp_path)
    assert study_path(path).samefile(path)


def variant(**changes):
    return {**TINY, **changes}


SYNTHETIC = TINY["datasets"]["synthetic"]
BAD = {
    "no YAML": ("datasets: [", ["YAML"]),
    "empty": ("", ["mapping"]),
    "unknown key": (variant(seed=[0]), ["'seed'", "did you mean 'seeds'"]),
    "unknown key of a dataset": (
        variant(datasets={"synthetic": {"option": {}}}),
        ["datasets.synthetic", "'option'", "'options'"],
    ),
    "unknown dataset": (variant(datasets=["digit"]), ["datasets.digit", "digits"]),
    "unknown option": (
        variant(datasets={"digits": {"options": {"n_per_clas": 3}}}),
        ["datasets.digits", "n_per_clas", "n_per_class"],
    ),
    "value of an option": (
        variant(datasets={"digits": {"options": {"n_per_class": "many"}}}),
        ["datasets.digits", "n_per_class", "many"],
    ),
    "unknown preset": (variant(datasets={"digits": {"preset": "mine"}}), ["datasets.digits", "preset", "'own'"]),
    "neighbors": (variant(methods={"local": {"neighbors": "l1"}}), ["methods.local[0]", "neighbors", "'l1'"]),
    "a dataset that isn't there": (variant(datasets=["no/such.npz"]), ["datasets.no/such.npz", "no/such.npz"]),
    "unknown method": (variant(methods=["dsc-l3"]), ["methods", "'dsc-l3'", "did you mean 'dsc-l"]),
    "unknown setting": (variant(settings={"finetune_epoch": 3}), ["settings:", "finetune_epoch", "finetune_epochs"]),
    "unknown setting of a dataset": (
        variant(datasets={"synthetic": {**SYNTHETIC, "settings": {"pretain_epochs": 1}}}),
        ["datasets.synthetic.settings", "pretain_epochs"],
    ),
    "unknown setting of a method": (variant(methods={"dsc-l2": [{}, {"rho": 1}]}), ["methods.dsc-l2[1]", "'rho'"]),
    "unknown parameter of a baseline": (variant(methods={"ridge": [{"ridg": 1}]}), ["methods.ridge[0]", "'ridg'"]),
    "type of a setting": (variant(settings={"finetune_epochs": "ten"}), ["settings:", "finetune_epochs", "'ten'"]),
    "value of a setting": (variant(settings={"solver": "newton"}), ["settings:", "solver", "'newton'"]),
    "type of a switch": (variant(settings={"zero_diagonal": "yes please"}), ["settings:", "zero_diagonal"]),
    "type of a parameter": (variant(methods={"ridge": [{"ridge": "big"}]}), ["methods.ridge[0]", "ridge", "'big'"]),
    "number without a point": ("datasets: [digits]\nmethods: {ridge: [{ridge: 1e-3}]}", ["'1e-3'", "ridge"]),
    "settings that don't go together": (
        variant(methods=["dsc-l1"], settings={"solver": "closed-form"}),
        ["settings", "closed form"],
    ),
    "seeds": (variant(seeds=[0, "one"]), ["seeds", "'one'"]),
    "a seed below 0": (variant(seeds=[-1]), ["seeds", "-1"]),
    "seeds of a dataset": (
        variant(datasets={"synthetic": {**SYNTHETIC, "seeds": [True]}}),
        ["datasets.synthetic.seeds", "True"],
    ),
    "a name where a list belongs": (variant(methods="kmeans"), ["methods", "list", "'kmeans'"]),
    "anchors": (variant(settings={"anchors": 25}), ["dsc-l2 on synthetic", "anchors", "got 25"]),
    "unknown corruption": (variant(corruptions=[{"mising": 0.1}]), ["corruptions", "'mising'", "'missing'"]),
    "rate of a corruption": (variant(corruptions=[{"missing": 0.9}]), ["corruptions", "missing", "0.9"]),
    "no methods": (variant(methods=[]), ["no run"]),
    "nothing": ({"seeds": [0]}, ["no run"]),
    "all excluded": (variant(exclude=[{"datasets": ["synthetic"]}]), ["no run"]),
    "exclude without a match": (variant(exclude=[{"methods": ["ssc"]}]), ["exclude[0]", "'ssc'"]),
    "empty exclude": (variant(exclude=[{}]), ["exclude[0]"]),
    "unknown key of an include": (variant(include=[{"dataset": "digits"}]), ["include[0]", "'dataset'", "'datasets'"]),
    "error within an include": (variant(include=[{"methods": ["nope"]}]), ["include[0]", "'nope'"]),
}


@pytest.mark.parametrize(("content", "words"), BAD.values(), ids=BAD)
def test_a_study_is_refused_as_a_whole_before_anything_runs(tmp_path, folders, content, words):
    path = study(tmp_path, content)
    one_clear_error(lambda: sweep(path, **folders), ValueError, ["tiny.yaml", *words])
    assert not folders["store"].exists()


def test_a_study_that_is_not_there_is_named_with_those_that_are(tmp_path):
    one_clear_error(lambda: study_path("famly"), FileNotFoundError, ["famly", "family"])
    one_clear_error(lambda: study_path(study(tmp_path, name="checkpoints.yaml")), ValueError, "checkpoints")


def test_a_precision_that_the_device_lacks_is_refused_before_anything_runs(tmp_path, folders):
    path = study(tmp_path, settings={**TINY["settings"], "precision": "tf32"})
    one_clear_error(lambda: sweep(path, device="cpu", **folders), ValueError, "tf32")
    one_clear_error(lambda: sweep(study(tmp_path), device="tpu", **folders), ValueError, "tpu")
    assert not folders["store"].exists()


# Running


def test_a_dry_run_lists_and_runs_nothing(tmp_path, folders, capsys):
    assert sweep(study(tmp_path), dry_run=True, **folders) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in names(study(tmp_path)))
    assert "4 to do" in printed and "?" in printed and not folders["store"].exists()


def test_a_study_runs_once_and_its_records_can_be_kept(tmp_path, folders, capsys):
    path, store = study(tmp_path), folders["store"] / "tiny"
    assert sweep(path, **folders) == 0
    printed = capsys.readouterr().out
    for name in names(path):
        starts, ends = printed.index(f"{name} starts"), printed.index(f"{name} done")
        assert starts < ends
        log = (store / f"{name}.log").read_text()
        assert "acc " in log and "Dataset('synthetic', N=24" in log
    assert "### synthetic (3 clusters)" in printed and "4 of 4 runs have a record" in printed
    records = load_records(folders["store"])
    assert sorted(record["run"] for record in records) == sorted(names(path))
    left = {file.name for file in store.iterdir()}
    assert left - {f"{name}.{kind}" for name in names(path) for kind in ("json", "log")} <= {"checkpoints"}
    assert not list(store.glob("checkpoints/*"))

    assert sweep(path, dry_run=True, **folders) == 0  # minutes are known now
    assert "4 done" in capsys.readouterr().out
    move_to_study([store], "tiny", **folders)
    assert sweep(path, **folders) == 0
    printed = capsys.readouterr().out
    assert "4 done" in printed and "starts" not in printed and "### synthetic" in printed
    assert not list(store.glob("*.json"))


def test_minutes_are_the_mean_of_earlier_records(tmp_path, folders, capsys):
    path = study(tmp_path)
    sweep(path, **folders)
    for file in (folders["store"] / "tiny").glob("*-dsc-l2-*.json"):
        record = json.loads(file.read_text())
        record["seconds"] = {"all": 120.0 if record["config"]["seed"] else 240.0}
        file.write_text(json.dumps(record))
    capsys.readouterr()
    sweep(study(tmp_path, seeds=[2, 3]), dry_run=True, **folders)
    printed = capsys.readouterr().out
    assert printed.count("3.0 min") == 2 and "about 6.0 min" in printed
    longer = study(tmp_path, seeds=[2], methods={"dsc-l2": [{"finetune_epochs": 20}], "affinity": [{"dim": 1}]})
    sweep(longer, dry_run=True, **folders)
    printed = capsys.readouterr().out
    epochs = record["config"]["method"]["finetune_epochs"]
    assert f"{3.0 * 20 / epochs:.1f} min" in printed  # of the same method, by its epochs
    assert "0 of which no record tells" not in printed and "? min" not in printed  # affinity: of any network


def test_a_failed_run_is_written_down_and_the_rest_goes_on(tmp_path, folders, capsys):
    path = study(tmp_path, methods={**DIVERGING, "kmeans": None})
    store, failing = folders["store"] / "tiny", [name for name in names(path) if "dsc-l2" in name]
    assert sweep(path, **folders) == 1
    printed = capsys.readouterr()
    assert {record["config"]["method"]["name"] for record in load_records(store)} == {"kmeans"}
    for name in failing:
        note = json.loads((store / f"{name}.failed.json").read_text())
        assert note["error"].startswith("ValueError: ") and "\n" not in note["error"]
        assert note["run"] == name and note["config"]["dataset"] == "synthetic" and note["time"]
        assert "Traceback" in (store / f"{name}.log").read_text()
        assert f"{name} failed" in printed.out and name in printed.err
    assert "Traceback" not in printed.out + printed.err

    assert sweep(path, **folders) == 1  # they are not tried again
    assert "starts" not in capsys.readouterr().out
    assert sweep(path, retry=True, **folders) == 1
    assert capsys.readouterr().out.count("starts") == 2


def test_a_failed_run_that_is_done_after_all_leaves_no_note(tmp_path, folders, monkeypatch):
    def broken(*arguments, **options):
        raise MemoryError

    path = study(tmp_path, methods=["kmeans"], seeds=[0])
    with monkeypatch.context() as patch:
        patch.setattr(module, "run_experiment", broken)
        assert sweep(path, **folders) == 1
    assert sweep(path, retry=True, **folders) == 0
    endings = sorted(file.name.partition(".")[2] for file in (folders["store"] / "tiny").iterdir())
    assert endings == ["json", "log"]


def test_an_interrupt_ends_the_sweep_and_leaves_no_lock(tmp_path, folders, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "run_experiment", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sweep(study(tmp_path), **folders)
    assert {file.suffix for file in (folders["store"] / "tiny").iterdir()} == {".log"}


def test_a_run_goes_on_from_its_checkpoint(tmp_path, folders, monkeypatch):
    seen = []

    def looking(dataset, method, **options):
        seen.append(options)
        raise RuntimeError("enough")

    monkeypatch.setattr(module, "run_experiment", looking)
    path = study(tmp_path, methods=["dsc-l2"], seeds=[0])
    sweep(path, device="cpu", **folders)
    (options,) = seen
    assert options["resume"] and options["device"] == "cpu"
    assert options["checkpoint_dir"] == folders["store"] / "tiny" / "checkpoints" / read_study(path)[0].training


class Terminal:
    """Just enough of one for a bar."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text

    def flush(self):
        pass

    def isatty(self):
        return True


def test_a_terminal_has_a_bar(tmp_path, folders, monkeypatch, capsys):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    path = study(tmp_path, methods=["kmeans"])
    assert sweep(path, **folders) == 0
    assert "2/2" in terminal.text and names(path)[0] in terminal.text
    printed = capsys.readouterr().out
    assert "starts" not in printed and printed.count(" done in ") == 2


# Two at once


def _hold(path, ready, release):
    with module._locked(path) as mine:
        ready.put(mine)
        release.get()


def test_a_run_that_another_sweep_is_at_work_on_is_skipped(tmp_path, folders, capsys):
    path, store = study(tmp_path, methods=["kmeans"]), folders["store"] / "tiny"
    store.mkdir(parents=True)
    context = multiprocessing.get_context("fork")
    ready, release = context.Queue(), context.Queue()
    held, free = names(path)
    other = context.Process(target=_hold, args=(store / f"{held}.lock", ready, release))
    other.start()
    assert ready.get()
    assert sweep(path, **folders) == 0
    printed = capsys.readouterr().out
    assert f"{held} skipped" in printed and f"{free} done" in printed
    release.put(None)
    other.join()
    assert sweep(path, **folders) == 0
    assert len(load_records(store)) == 2 and not list(store.glob("*.lock"))


def test_a_killed_process_holds_no_lock(tmp_path):
    context = multiprocessing.get_context("fork")
    ready, release = context.Queue(), context.Queue()
    other = context.Process(target=_hold, args=(tmp_path / "a.lock", ready, release))
    other.start()
    assert ready.get()
    with module._locked(tmp_path / "a.lock") as mine:
        assert not mine
    os.kill(other.pid, signal.SIGKILL)
    other.join()
    with module._locked(tmp_path / "a.lock") as mine:
        assert mine
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_two_copies_started_at_once_share_the_runs(tmp_path, folders):
    """Real processes: each run is done by one of them, once, and both end well."""
    path = study(tmp_path, methods=["kmeans", "dsc-l2", "ssc"], seeds=[0, 1, 2, 3])
    options = [f"--{name}={folders[key]}" for name, key in (("records", "store"), ("results", "results"))]
    command = [sys.executable, "-m", "dmsc", "sweep", str(path), *options]
    copies = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    printed = [copy.communicate(timeout=300)[0] for copy in copies]
    assert [copy.returncode for copy in copies] == [0, 0]
    store, every = folders["store"] / "tiny", names(path)
    assert sorted(record["run"] for record in load_records(store)) == sorted(every)
    for name in every:
        assert (store / f"{name}.log").read_text().count("of study tiny") == 1
        assert sum(f"{name} done in" in text for text in printed) == 1
    assert not list(store.glob("*.lock")) and not list(store.glob(".*"))


@pytest.mark.slow
def test_a_sweep_that_is_killed_goes_on_to_the_same_metrics(tmp_path, folders):
    settings = {**TINY["settings"], "finetune_epochs": 4000}
    path = study(tmp_path, methods=["dsc-l2"], seeds=[0], settings=settings)

    def command(folder):
        return [sys.executable, "-m", "dmsc", "sweep", str(path), f"--records={folder}", f"--results={tmp_path}/none"]

    subprocess.run(command(tmp_path / "whole"), check=True, capture_output=True, cwd=ROOT)
    process = subprocess.Popen(command(tmp_path / "killed"), stdout=subprocess.DEVNULL, cwd=ROOT)
    deadline = time.monotonic() + 120
    while not list((tmp_path / "killed").glob("tiny/checkpoints/*/AE2.pt")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not list((tmp_path / "killed").glob("tiny/*.json"))
    subprocess.run(command(tmp_path / "killed"), check=True, capture_output=True, cwd=ROOT)
    (whole,), (resumed,) = load_records(tmp_path / "whole"), load_records(tmp_path / "killed")
    assert resumed["metrics"] == whole["metrics"] and resumed["resumed"]


def test_runs_that_only_read_C_otherwise_train_once(tmp_path, folders, monkeypatch, capsys):
    """Each has the record that it has alone, training's seconds included; other settings and seeds train anew."""
    methods = {"dsc-l2": [{}, {"pretrain_epochs": 2}, {"dim": 1, "alpha": 2.0}]}
    path = study(tmp_path, methods=methods, settings={**TINY["settings"], "finetune_epochs": 12})
    runs = read_study(path)
    assert runs[0].training == runs[2].training and len({run.training for run in runs}) == 4
    alone = {run.name: module.run_experiment(run.dataset, run.method, seed=run.seed).record for run in runs}
    began = []

    def counted(step, model, optimizer, epoch_step, *given, original=training.train_epochs, **loop):
        def stepped():
            began[-1][1] += 1
            return epoch_step()

        began.append([step, 0])
        return original(step, model, optimizer, stepped, *given, **loop)

    monkeypatch.setattr(training, "train_epochs", counted)
    assert sweep(path, dry_run=True, **folders) == 0
    printed = capsys.readouterr().out
    assert [line.split()[3] for line in printed.splitlines() if "shared" in line] == [runs[2].name, runs[5].name]
    assert "4 of which no record tells" in printed
    assert sweep(path, **folders) == 0
    assert sum(epochs for step, epochs in began if step == "finetune") == 4 * 12
    assert sum(epochs for step, epochs in began if step == "pretrain") == 2 * 1 + 2 * 2
    found = {record["run"]: record for record in load_records(folders["store"] / "tiny")}
    for name, record in found.items():
        for part in ("metrics", "selection", "history", "label_free", "config"):
            assert record[part] == alone[name][part]
    first, second = found[runs[0].name], found[runs[2].name]
    assert second["resumed"] and not first["resumed"]
    assert all(second["seconds"][phase] == first["seconds"][phase] for phase in ("pretrain", "finetune"))
    assert not list((folders["store"] / "tiny" / "checkpoints").iterdir())


@pytest.mark.parametrize("dim", [1, 2])
def test_a_training_that_another_run_needs_is_kept_until_that_is_done(dim, tmp_path, folders, monkeypatch, capsys):
    """Whichever of the two fails."""
    path = study(tmp_path, methods={"dsc-l2": [{}, {"dim": 1}]}, seeds=[0])
    first, second = read_study(path)

    def broken(dataset, method, **options):
        if method.reading.dim == dim:
            raise RuntimeError("no such reading")
        return original(dataset, method, **options)

    original = module.run_experiment
    monkeypatch.setattr(module, "run_experiment", broken)
    assert sweep(path, **folders) == 1
    (kept,) = (folders["store"] / "tiny" / "checkpoints").iterdir()
    assert kept.name == first.training == second.training
    monkeypatch.undo()
    assert sweep(path, retry=True, **folders) == 0
    assert not kept.exists() and f"{(first, second)[dim == 1].name} done" in capsys.readouterr().out


# One run of a study, as a batch engine asks for it


def test_one_run_of_a_study_and_no_other(tmp_path, folders, capsys):
    path, store = study(tmp_path), folders["store"] / "tiny"
    first, _, third, _ = names(path)
    assert sweep(path, only=[third, first], **folders) == 0
    assert {record["run"] for record in load_records(store)} == {first, third}
    assert "2 of 2 runs have a record" in capsys.readouterr().out
    assert sweep(path, only=[first], **folders) == 0
    assert "starts" not in capsys.readouterr().out
    one_clear_error(
        lambda: sweep(path, only=[first[:-1]], **folders), ValueError, [first[:-1], f"did you mean {first!r}"]
    )


def test_a_run_that_is_not_done_in_the_end_is_no_success(tmp_path, folders, monkeypatch, capsys):
    """Whether it fails, failed before, or another process is at work on it."""
    path = study(tmp_path, methods={**DIVERGING, "kmeans": None}, seeds=[0])
    failing, good = names(path)
    assert sweep(path, only=[failing], **folders) == 1
    assert sweep(path, only=[failing], **folders) == 1
    assert sweep(path, only=[good], **folders) == 0
    capsys.readouterr()
    (folders["store"] / "tiny" / f"{good}.json").unlink()
    with module._locked(folders["store"] / "tiny" / f"{good}.lock") as mine:
        assert mine and sweep(path, only=[good], **folders) == 1
    assert "another sweep is at work" in capsys.readouterr().err
    assert sweep(path, only=[good], **folders) == 0


def test_runs_that_share_a_training_share_it_when_they_are_asked_for_one_by_one(tmp_path, folders):
    path, checkpoints = study(tmp_path, methods={"dsc-l2": [{}, {"dim": 1}]}, seeds=[0]), folders["store"] / "tiny"
    first, second = names(path)
    assert sweep(path, only=[first], **folders) == 0
    assert len([*(checkpoints / "checkpoints").iterdir()]) == 1  # the other needs it
    assert sweep(path, only=[second], **folders) == 0
    assert not [*(checkpoints / "checkpoints").iterdir()]
    assert [record["resumed"] for record in load_records(folders["store"]) if record["run"] == second] == [True]


def test_what_a_killed_process_had_begun_to_write_is_removed(tmp_path, folders):
    path, store = study(tmp_path, methods={"dsc-l2": [{}, {"dim": 1}]}, seeds=[0]), folders["store"] / "tiny"
    first, second = read_study(path)
    checkpoints = store / "checkpoints" / first.training
    checkpoints.mkdir(parents=True)
    (store / f".{first.name}.1.tmp.json").write_text("{")
    (store / f".{second.name}.1.tmp.json").write_text("{")  # another process may be at work on that
    (checkpoints / ".AE2.1.tmp.pt").write_text("half")
    assert sweep(path, only=[first.name], **folders) == 0
    assert [file.name for file in store.rglob(".*")] == [f".{second.name}.1.tmp.json"]


# The committed studies


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.yaml")), ids=lambda path: path.stem)
def test_committed_studies_are_valid_and_have_the_records_that_are_committed(path, real_data):
    needed = {"orl": "ORL_32x32.mat", "coil20": "COIL20.mat", "eyaleb": "YaleB_48x42.mat", "bdgp": "BDGP.mat"}
    needed |= {"mnist_usps": "MNIST_USPS.mat", "mnist_edges": "t10k-images-idx3-ubyte.gz"}
    needed |= {"hw2sources": "multiview/HW2sources.mat"} | {name: name for name in KNOWN_FILES if "/" in name}
    for name, file in needed.items():
        if name in path.read_text(encoding="utf-8"):
            real_data(file)
    runs = {run.name: run.config for run in read_study(path)}
    folder = Path(RESULTS) / path.stem
    committed = {record["run"]: record["config"] for record in (load_records(folder) if folder.is_dir() else [])}
    assert set(committed) <= set(runs)
    for name, config in committed.items():
        for described in (config, runs[name]):
            described["method"].pop("source")  # prose may change
        config["method"] = json.loads(json.dumps(complete(config["method"])))  # with settings there were none of yet
        assert config == runs[name]
