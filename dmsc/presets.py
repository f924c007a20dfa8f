"""Every method as data: one table for each paper x dataset, which a reader can scan.

A `dmsc.Method` says what to build, how to train it and how to read clusters off C. `preset` fills one in: the method's
defaults, then what the table below says for the dataset, then what the caller overrides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from .correlation import Correlation
from .fusion import FUNCTIONS, PLACES
from .losses import LossWeights
from .methods import Baseline, Method, closest, override
from .networks import Architecture, Conv
from .spectral import Reading

__all__ = ["BASELINES", "METHODS", "override", "preset"]


def papers_lambda(K: int) -> float:
    """Return lambda_2 = 10^(K/10 - 3), the rule for Extended Yale B in DSC-Net, DMSC and the listing."""
    return 10 ** (K / 10 - 3)


def faces_ratio(K: int) -> float:
    """Return the threshold max(0.4 - 0.1 (K-1)//10, 0.1) of the authors' Python 2 code: the division is integer."""
    return max(0.4 - (K - 1) // 10 * 0.1, 0.1)


def listing_ratio(K: int) -> float:
    """Return the threshold max(0.4 - 0.1 (K-1)/10, 0.1) as the listing's Python 3 evaluates it (K = 5: 0.36)."""
    return max(0.4 - (K - 1) / 10 * 0.1, 0.1)


def _same(*layers: tuple[int, int, int]) -> Architecture:
    """The papers' networks: (channels, kernel, stride) with "SAME" padding and ReLU everywhere."""
    return Architecture(tuple(Conv(*layer) for layer in layers), output_activation="relu")


YALE_NET = _same((10, 5, 2), (20, 3, 2), (30, 3, 2))
ORL_NET = _same((3, 3, 2), (3, 3, 2), (5, 3, 2))
COIL20_NET = _same((15, 3, 2))
COIL100_NET = _same((50, 5, 2))
COMPONENTS_NET = _same((10, 5, 2), (20, 3, 1), (30, 3, 2))
SMALL_NET = _same((20, 3, 2))
SMALL_SPATIAL_NET = Architecture((Conv(10, 3, 2), Conv(20, 3, 1)))  # two layers, so that there is a place in between
COIL20_SPATIAL_NET = _same((15, 3, 2), (15, 3, 1))
LISTING_NET = Architecture(
    (Conv(10, 4, 2, padding=1, decoder_padding=0), Conv(20, 3, 1, padding=1), Conv(30, 4, 2, padding=1)),
    activation="none",
    initialization="torch",
)

#: Defaults of each method, for data that no paper speaks of: sizes and weights are this project's.
METHODS: dict[str, Method] = {
    "dsc-l2": Method("dsc-l2", "Ji et al. 2017, eq. 5 with p = 2", "none"),
    "dsc-l1": Method(
        "dsc-l1", "Ji et al. 2017, eq. 5 with p = 1", "none", loss=LossWeights(norm=1), zero_diagonal=True
    ),
    "affinity": Method("affinity", "Abavisani & Patel 2018, affinity fusion, eq. 8", "affinity"),
    "listing": Method("listing", "the blog listing, mended, on other data", "affinity"),
    "cmsc-dcca": Method(
        "cmsc-dcca",
        "Gao et al. 2020: affinity fusion and Deep CCA's correlation",
        "affinity",
        correlation=Correlation(),
    ),
    **{
        f"{place}-{function}": Method(
            f"{place}-{function}", f"Abavisani & Patel 2018, {place} spatial fusion, eq. 6", place, function
        )
        for place in PLACES
        for function in FUNCTIONS
    },
}

#: Methods without a network, with every parameter that may be changed.
BASELINES: dict[str, Baseline] = {
    baseline.name: baseline
    for baseline in (
        Baseline("kmeans", "Lloyd's k-means as averages over clusters", "kmeans"),
        Baseline("spectral", "spectral clustering of the graph of nearest neighbors", "spectral", {"n_neighbors": 10}),
        Baseline(
            "local",
            "closed form among nearest neighbors, after Roweis & Saul 2000",
            "local",
            {"n_neighbors": 20, "neighbors": "cosine"},
        ),
        Baseline("ssc", "Elhamifar & Vidal 2013, sparse subspace clustering", "ssc", {"alpha": 20.0}),
        Baseline("ssc-omp", "You, Robinson & Vidal 2016, orthogonal matching pursuit", "ssc-omp", {"n_nonzero": 10}),
        Baseline("lrr", "Liu et al. 2013, low-rank representation", "lrr", {"penalty": 0.1, "n_components": None}),
        Baseline(
            "ridge", "Ji et al. 2014, EDSC in closed form; penalty from held-out features", "ridge", {"ridge": None}
        ),
        Baseline(
            "ridge-stopped",
            "the same, from a constant C by Adam, and stopped early: no network",
            "ridge-stopped",
            {"ridge": None, "epochs": 100, "init": 1e-4, "learning_rate": 1e-3},
        ),
    )
}


def _yale(K: int, norm: int, epochs: int) -> dict:
    # The code halves reconstruction and self-expression; 25 K means 25 epochs for each of the K people. Start, rate
    # and pre-training are ours: from the authors' constant 1e-4 at one rate ours ended lower (results/README.md).
    return {
        "source": "Ji et al. 2017, Extended Yale B: authors' code, with its factors 1/2 folded in",
        "architecture": YALE_NET,
        "loss": LossWeights((0.5,), (0.5,), 1.0, papers_lambda(K), norm),
        "reading": Reading(ratio=faces_ratio(K), dim=10, alpha=3.5),
        "coefficients_init": "mean",
        "network_learning_rate": 2e-4,
        "pretrain_epochs": 1000,
        "finetune_epochs": epochs,
        "paper_epochs": epochs,
    }


def _orl(norm: int, epochs: int) -> dict:
    return {
        "source": "Ji et al. 2017, ORL: authors' code, with its factors 1/2 folded in",
        "architecture": ORL_NET,
        "loss": LossWeights((0.5,), (0.5,), 1.0, 0.2, norm),
        "reading": Reading(ratio=0.2, dim=3, alpha=1.0),
        "coefficients_init": 0.0,
        "pretrain_epochs": 1000,
        "finetune_epochs": epochs,
        "paper_epochs": epochs,
    }


def _coil20(norm: int, epochs: int) -> dict:
    return {
        "source": "Ji et al. 2017, COIL20: authors' code (lambda_2 = 150 with a factor 1/2 on self-expression only)",
        "architecture": COIL20_NET,
        "loss": LossWeights((1.0,), (0.5,), 1.0, 150.0, norm),
        "reading": Reading(ratio=0.04, dim=12, alpha=8.0, unit_diagonal=True),
        "coefficients_init": 1e-8,
        "pretrain_epochs": 100,
        "finetune_epochs": epochs,
        "paper_epochs": epochs,
    }


def _coil100(norm: int, epochs: int) -> dict:
    return {
        **_coil20(norm, epochs),
        "source": "Ji et al. 2017, COIL100: the paper's network and lambda_2 = 30, COIL20's reading",
        "architecture": COIL100_NET,
        "loss": LossWeights((0.5,), (0.5,), 1.0, 30.0, norm),
        "pretrain_epochs": 50,
    }


def _components(K: int) -> dict:
    # Start and rate are ours, found on Extended Yale B; the authors have the constant 1e-4 and one rate.
    return {
        "source": "Abavisani & Patel 2018, face components: authors' code (no factors 1/2, inputs 0-255)",
        "architecture": COMPONENTS_NET,
        "loss": LossWeights((0.6, 0.1), (0.3, 0.05), 1.0, papers_lambda(K)),
        "reading": Reading(ratio=faces_ratio(K), dim=6, alpha=8.0),
        "zero_diagonal": True,
        "coefficients_init": "mean",
        "network_learning_rate": 2e-4,
        "finetune_epochs": 1000,
        "paper_epochs": 1000,
    }


def _paper_digits(K: int) -> dict:
    # Assumed: no code for the digits is public. The views' equal weights sum to those of the components. 100 epochs are
    # not the paper's: the first author's advice to a user whose accuracy fell (issue 5 of the authors' repository).
    return {
        **_components(K),
        "source": "Abavisani & Patel 2018, digits: assumed to be as the face components (inputs 0-255), equal views",
        "loss": LossWeights((0.5,), (0.25,), 1.0, papers_lambda(K)),
        "finetune_epochs": 100,
        "paper_epochs": 100,
    }


def _first_view(row: Callable[[int], dict]) -> Callable[[int], dict]:
    """Return DSC-Net's row for affinity fusion's: the same settings for the first view alone, and no paper's."""

    def alone(K: int) -> dict:
        settings = row(K)
        loss = settings["loss"]
        weights = {"reconstruction": loss.reconstruction[:1], "self_expression": loss.self_expression[:1]}
        return {**settings, "source": METHODS["dsc-l2"].source, "loss": replace(loss, **weights), "paper_epochs": None}

    return alone


def _listing(K: int) -> dict:
    # 80 epochs of 25 mini-batches are the 2000 Adam steps that the listing takes with full batches (N = 2500).
    return {
        "source": "the blog listing: its network, weights and diagonal; mini-batches in step one",
        "architecture": LISTING_NET,
        "loss": LossWeights((0.2, 0.8), (0.2, 0.8), 0.1, 50 * papers_lambda(K)),
        "reading": Reading(ratio=listing_ratio(K), dim=6, alpha=8.0),
        "zero_diagonal": True,
        "pretrain_epochs": 80,
        "finetune_epochs": 1001,
        "paper_epochs": 1001,
    }


def _coil20_edges(K: int, norm: int = 2) -> dict:
    return {
        **_coil20(norm, 40),
        "source": "COIL20's weights for the image and its edges, with a second layer; no paper's",
        "architecture": COIL20_SPATIAL_NET,
        "paper_epochs": None,
    }


def _joint(row: dict, weight: float) -> dict:
    """Return affinity fusion's row for one joint latent: no weights of single latents, no source of its own."""
    row = {**row, "loss": replace(row["loss"], self_expression=(weight,)), "paper_epochs": None}
    del row["source"]
    return row


def _correlated(row: Callable[[int], dict]) -> Callable[[int], dict]:
    """Return CMSC-DCCA's row for affinity fusion's: the same settings, and no paper's."""
    return lambda K: {**row(K), "source": METHODS["cmsc-dcca"].source, "paper_epochs": None}


def _small(K: int, norm: int = 2) -> dict:
    """Return the row for digits of 8 x 8 pixels: one layer; sizes and weights are this project's."""
    return {"architecture": SMALL_NET, "loss": LossWeights((1.0,), (1.0,), 1.0, 1.0, norm)}


def _own_data(method: Method) -> Callable[[int], dict]:
    """Return the row for data of one's own: no unit matters, and C is between nearest neighbors."""
    loss = replace(method.loss, lambda_self_expression=10.0, relative=True)
    row = {
        "architecture": Architecture(dense="auto"),
        "loss": loss,
        "scale": "auto",
        "n_neighbors": "auto",
        "neighbors": "auto",
        "coefficients_init": "warm",
        "coefficients_learning_rate": 1e-4,  # C starts at a solution, which 1e-3 wears down (own_data.yaml)
    }
    return lambda K: row


#: What each paper says for each dataset ("*": any other, "": data of one's own); K is the number of clusters.
TABLE: dict[tuple[str, str], Callable[[int], dict]] = {
    ("dsc-l2", "eyaleb"): lambda K: _yale(K, 2, 50 + 25 * K),
    ("dsc-l1", "eyaleb"): lambda K: _yale(K, 1, 160 + 20 * K),
    ("dsc-l2", "orl"): lambda K: _orl(2, 700),
    ("dsc-l1", "orl"): lambda K: _orl(1, 1500),
    ("dsc-l2", "coil20"): lambda K: _coil20(2, 40),
    ("dsc-l1", "coil20"): lambda K: _coil20(1, 30),
    ("dsc-l2", "coil100"): lambda K: _coil100(2, 120),
    ("dsc-l1", "coil100"): lambda K: _coil100(1, 100),
    ("affinity", "eyaleb_components"): _components,
    ("affinity", "eyb_fc"): _components,
    ("affinity", "hw2sources"): _paper_digits,
    ("affinity", "mnist_usps_32"): _paper_digits,
    ("affinity", "bdgp"): _listing,
    ("dsc-l2", "bdgp"): _first_view(_listing),
    ("dsc-l2", "eyaleb_components"): _first_view(_components),
    ("dsc-l2", "eyb_fc"): _first_view(_components),
    ("dsc-l2", "hw2sources"): _first_view(_paper_digits),
    ("dsc-l2", "mnist_usps_32"): _first_view(_paper_digits),
    ("listing", "*"): _listing,
    ("dsc-l2", "digits"): _small,
    ("dsc-l1", "digits"): lambda K: _small(K, 1),
    ("affinity", "digits"): _small,
    ("affinity", "coil20_edges"): _coil20_edges,
    ("dsc-l2", "coil20_edges"): _coil20_edges,
    ("dsc-l1", "coil20_edges"): lambda K: _coil20_edges(K, 1),
}


# The paper's spatial models have the networks of its affinity model; one joint latent takes the weights of all.
SPATIAL_ROWS: dict[str, Callable[[int], dict]] = {
    "eyaleb_components": lambda K: _joint(_components(K), 0.5),  # 0.3 + 4 x 0.05
    "eyb_fc": lambda K: _joint(_components(K), 0.5),
    "hw2sources": lambda K: _joint(_paper_digits(K), 0.5),  # 0.25 + 0.25
    "mnist_usps_32": lambda K: _joint(_paper_digits(K), 0.5),
    "bdgp": lambda K: _joint(_listing(K), 1.0),  # 0.2 + 0.8
    "coil20_edges": lambda K: _joint(_coil20_edges(K), 1.0),  # 0.5 + 0.5
    "digits": lambda K: {"architecture": SMALL_SPATIAL_NET},
}
TABLE |= {
    (name, dataset): row
    for name, method in METHODS.items()
    if method.fusion in PLACES
    for dataset, row in SPATIAL_ROWS.items()
}
TABLE |= {(name, ""): _own_data(method) for name, method in METHODS.items() if name != "listing"}


# No paper's penalty holds on data of one's own: it is chosen without labels.
def _chosen_penalty(name: str, own: str) -> Callable[[int], dict]:
    return lambda K: {"parameters": BASELINES[name].parameters | {own: None}}


OWN_PENALTIES = {"ssc": "alpha", "lrr": "penalty"}  # ssc-omp's number of coefficients has no unit
TABLE |= {(name, ""): _chosen_penalty(name, own) for name, own in OWN_PENALTIES.items()}
# The halves of digits have the settings of digits. CMSC-DCCA is affinity fusion with one more term; no paper weighs it.
TABLE |= {(name, "digits_halves"): row for (name, dataset), row in TABLE.items() if dataset == "digits"}
TABLE |= {("cmsc-dcca", dataset): _correlated(row) for (name, dataset), row in TABLE.items() if name == "affinity"}


def preset(method: str, dataset: str, n_clusters: int, **overrides: Any) -> Method | Baseline:
    """Return the description of a method on a dataset.

    Parameters
    ----------
    method : str
        One of `METHODS` or `BASELINES`.
    dataset : str
        Name of a dataset, ``Dataset.preset``; one that no paper speaks of gets the method's defaults. "" is data of
        one's own: their views are brought to a common scale, the weights mean the same for any units, and baselines'
        penalties are chosen without labels.
    n_clusters : int
        K; some papers' weights depend on it.
    **overrides
        Fields of the description, or of its parts (``loss``, ``reading``, ``architecture``, ``correlation``,
        ``parameters``), by their own names.

    Returns
    -------
    Method or Baseline
        Frozen.

    Raises
    ------
    ValueError
        For an unknown method or an unknown field; the message lists what there is.
    """
    known = METHODS | BASELINES
    if not isinstance(dataset, str):
        raise TypeError(f"dataset must be a name such as dataset.preset, got {type(dataset).__name__}")
    if method not in known:
        raise ValueError(f"unknown method {method!r}{closest(method, known)}: use one of {', '.join(known)}")
    description = known[method]
    row = TABLE.get((method, dataset)) or TABLE.get((method, "*"))
    if method == "local" and not dataset:
        description = override(description, scale="auto", n_neighbors="auto", neighbors="auto")
    elif method in BASELINES:  # they are read as the dataset's networks are
        rows = [TABLE[name, dataset](n_clusters) for name in ("affinity", "dsc-l2") if (name, dataset) in TABLE]
        readings = [settings["reading"] for settings in rows if "reading" in settings]
        description = replace(description, reading=readings[0]) if readings else description
    description = replace(description, **row(n_clusters)) if row else description
    return override(description, **overrides)
