"""Data sets: what there is, where it comes from, how views are made and spoiled."""

from .arrays import masks_from_nan
from .corruption import corrupt
from .dataset import Dataset, list_datasets, load_dataset

__all__ = ["Dataset", "corrupt", "list_datasets", "load_dataset", "masks_from_nan"]
