"""Runs: from a data set and a method to a record, and from records to tables."""
