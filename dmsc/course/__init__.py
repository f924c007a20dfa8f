"""Assignments: what students' notebooks use, and what releases and grades them (with nbgrader)."""

from .forbidding import forbid

__all__ = ["forbid"]
