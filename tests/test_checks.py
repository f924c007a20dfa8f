"""One clear error names the argument, the value and the way out; what is fine comes back."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
import torch
from bad_input import one_clear_error

from dmsc.checks import check_masks, integer, one_of, positive_number, square_matrix


def test_what_is_fine_comes_back():
    M = np.arange(4).reshape(2, 2)
    assert square_matrix("C", M) is M
    np.testing.assert_array_equal(square_matrix("C", M.tolist()), M)
    for value in (3, np.int64(3), np.array(3)):
        found = integer("n", value, 3, 3)
        assert found == 3 and type(found) is int
    assert integer("n", 10**20, 0) == 10**20  # no upper end unless one is given
    for value in (2, 2.0, np.float32(2)):
        found = positive_number("alpha", value, at_most=2)
        assert found == 2 and type(found) is float
    assert one_of("assign", "kmeans", ("kmeans", "discretize")) == "kmeans"
    check_masks([np.array([True, False]), torch.tensor([True, True])], 2, 2)
    check_masks([], 0, 2)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: square_matrix("C", np.ones((3, 4))), ValueError, ("C must", "(3, 4)")),
        (lambda: square_matrix("C", []), ValueError, ("C must", "(0,)")),
        (lambda: square_matrix("C", np.ones((2, 2, 2))), ValueError, ("C must", "(2, 2, 2)")),
        (lambda: square_matrix("C", np.diag([1, np.nan])), ValueError, ("C must", "nan at row 1, column 1")),
        (lambda: square_matrix("C", 1j * np.eye(2)), TypeError, ("C must", "complex128")),
        (lambda: square_matrix("C", [["a"]]), TypeError, ("C must", "<U1")),
        (lambda: square_matrix("C", scipy.sparse.eye(3)), TypeError, "C.toarray()"),
        (lambda: integer("n", 0, 1), ValueError, ("n must", "1, got 0")),
        (lambda: integer("n", 5, 1, 4), ValueError, ("n must", "from 1 to 4, got 5")),
        (lambda: integer("n", 2.0, 1, 4), TypeError, ("n must", "from 1 to 4, got 2.0")),
        (lambda: integer("n", True, 0), TypeError, ("n must", "got True")),
        (lambda: integer("n", np.True_, 0), TypeError, ("n must", "True")),
        (lambda: integer("n", "3", 0), TypeError, ("n must", "got '3'")),
        (lambda: integer("n", None, 0), TypeError, ("n must", "got None")),
        (lambda: positive_number("alpha", 0), ValueError, ("alpha", "got 0")),
        (lambda: positive_number("alpha", -1.0), ValueError, ("alpha", "got -1.0")),
        (lambda: positive_number("alpha", np.nan), ValueError, ("alpha", "got nan")),
        (lambda: positive_number("alpha", np.inf), ValueError, ("alpha", "got inf")),
        (lambda: positive_number("ratio", 1.5, at_most=1), ValueError, ("ratio", "(0, 1], got 1.5")),
        (lambda: positive_number("alpha", "0.4"), TypeError, ("alpha", "got '0.4'")),
        (lambda: positive_number("alpha", False), TypeError, ("alpha", "got False")),
        (
            lambda: one_of("assign", "vote", ("kmeans", "discretize")),
            ValueError,
            ("assign", "'discretize', got 'vote'"),
        ),
        (lambda: one_of("norm", [1], (1, 2)), ValueError, ("norm", "1, 2, got [1]")),
        (lambda: check_masks([np.ones(3, bool)], 2, 3), ValueError, ("masks", "2 arrays of 3 bool")),
        (lambda: check_masks([np.ones(4, bool)], 1, 3), ValueError, ("masks", "3 bool", "(4,)")),
        (lambda: check_masks([torch.ones(3, dtype=torch.int32)], 1, 3), ValueError, ("masks", "'int32'")),
    ],
)
def test_what_is_wrong_is_named_on_one_line(call, error, words):
    one_clear_error(call, error, words)
