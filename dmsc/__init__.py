"""dmsc: deep (multimodal) subspace clustering, reproduced.

The package is thin: a file per idea, a function per equation. Start with ``notebooks/00_start_here.ipynb``.
"""

from .cluster_number import cluster_number_scores
from .data import Dataset, corrupt, list_datasets, load_dataset
from .estimators import DMSC, DSC, LRR, SSC, SSCOMP, RidgeSelfExpression, estimate_n_clusters
from .experiments.records import show_versions
from .experiments.run import run_experiment
from .methods import Baseline, Method
from .model import SubspaceNetwork
from .presets import BASELINES, METHODS, preset
from .self_expression import SelfExpression, ridge_self_expression
from .spectral import build_affinity, spectral_clustering, spectral_embedding, threshold_coefficients
from .training import finetune, pretrain

__version__ = "0.2.0"

__all__ = [
    "BASELINES", "DMSC", "DSC", "LRR", "METHODS", "SSC", "SSCOMP", "Baseline", "Dataset", "Method",
    "RidgeSelfExpression", "SelfExpression", "SubspaceNetwork", "build_affinity", "cluster_number_scores", "corrupt",
    "estimate_n_clusters", "finetune", "list_datasets", "load_dataset", "preset", "pretrain", "ridge_self_expression",
    "run_experiment", "show_versions", "spectral_clustering", "spectral_embedding", "threshold_coefficients",
]  # fmt: skip
