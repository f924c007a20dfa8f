"""Figures of the notebooks.

Every function returns a matplotlib Figure that pyplot has let go of: as the last line of a cell it is shown once;
elsewhere write `display(figure)` or `figure.savefig(...)`.
"""

from .architecture import show_architecture
from .clusters import show_affinities, show_coefficients, show_contingency, show_eigenvalues, show_embedding
from .comparison import comparable, show_comparison, show_curves, show_selection
from .encoder import show_encoder
from .ladder import ladder_rows, rung_of, show_course, show_ladder, show_losses
from .readings import show_penalties, show_readings
from .speed import show_epochs, show_growth, show_roofline, show_scales
from .style import method_color, use_style
from .training import show_history, show_reconstructions, show_scores, show_views

__all__ = [
    "comparable", "ladder_rows", "method_color", "rung_of", "show_affinities", "show_architecture",
    "show_coefficients", "show_comparison", "show_contingency", "show_course", "show_curves", "show_eigenvalues",
    "show_embedding", "show_encoder", "show_epochs", "show_growth", "show_history", "show_ladder", "show_losses",
    "show_penalties", "show_readings", "show_reconstructions", "show_roofline", "show_scales", "show_scores",
    "show_selection", "show_views", "use_style",
]  # fmt: skip
