"""Bad input gets one clear error: what every table of cases asserts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest


def one_clear_error(call: Callable[[], Any], error: type[Exception], words: str | Sequence[str]) -> None:
    """Assert that a call raises just this error, in one line that holds the words which name the culprit."""
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    assert type(caught.value) is error
    assert message and "\n" not in message
    for word in [words] if isinstance(words, str) else words:
        assert word in message


def by_name(cases: Sequence[tuple]) -> pytest.MarkDecorator:
    """Parametrize a test over cases (name, call, error, words) under their names, none of which comes twice."""
    names = [case[0] for case in cases]
    assert len(set(names)) == len(names)
    return pytest.mark.parametrize(("call", "error", "words"), [case[1:] for case in cases], ids=names)
