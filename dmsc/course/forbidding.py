"""While an answer is tested, the package's own solution of the task can't be called."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FunctionType

__all__ = ["forbid"]


@contextmanager
def forbid(*solutions: Callable) -> Iterator[None]:
    """Make functions, or all methods of classes, raise while the block lasts, by whatever name they are called.

    Tests of assignments call a student's answer in such a block. It is the code of the function that is exchanged, so
    it doesn't matter from which module, or under which name, it was imported.

    Parameters
    ----------
    *solutions : function or class
        Written in Python; what is built in can't be forbidden.

    Raises
    ------
    TypeError
        If something is no function and no class of Python code.
    RuntimeError
        Out of the block, when it calls one of them.

    Examples
    --------
    >>> with forbid(dmsc.ridge_self_expression):
    ...     C = my_closed_form(X, 1.0)
    """
    functions = {id(f): f for solution in solutions for f in _functions(solution)}.values()
    kept = [(function, function.__code__) for function in functions]
    try:
        for function, _ in kept:
            function.__code__ = _refusal(function)
        yield
    finally:
        for function, code in kept:
            function.__code__ = code


def _functions(solution: Callable) -> list[FunctionType]:
    """Return the Python functions behind a function or a class."""
    members = vars(solution).values() if isinstance(solution, type) else [solution]
    functions = [member for member in members if isinstance(member, FunctionType)]
    if not functions:
        raise TypeError(f"only functions and classes written in Python can be forbidden, got {solution!r}")
    return functions


def _refusal(function: FunctionType) -> CodeType:
    """Return code that raises; with the free variables of the function's own, or Python wouldn't take it."""
    free = ", ".join(function.__code__.co_freevars)
    message = f"{function.__qualname__} is what the task asks for: write it yourself, it can't be called here"
    lines = [
        f"def outer({free}):",
        "    def refuse(*args, **kwargs):",
        f"        ({free}{',' if free else ''})",
        f"        raise RuntimeError({message!r})",
        "    return refuse",
    ]
    names: dict = {}
    exec("\n".join(lines), names)
    return names["outer"](*function.__code__.co_freevars).__code__
