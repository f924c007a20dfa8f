"""What a longer run is worth: scores after so many epochs, by row."""

from bad_input import one_clear_error
from test_records import record
from test_tables import baseline, cells

from dmsc.experiments.traces import traces_table


def traced(seed, acc, **method):
    """A record of a run that looked at C, with these accuracies by epoch, in both readings."""
    made = record(seed, 0.5, epochs=max(acc))
    looks = [{"epoch": epoch, "reading": "paper", "acc": value, "nmi": value / 2} for epoch, value in acc.items()]
    made["selection"]["candidates"] = [*looks, {"epoch": 1, "reading": "plain", "acc": 0.99, "nmi": 0.9}]
    made["config"]["method"] |= method
    return made


def head(table):
    return next(line for line in table.splitlines() if line.startswith("| method")).strip("| ").split(" | ")


def test_each_column_has_at_least_twice_the_epochs_of_the_one_before():
    """Of 10, 20, 30, 40 and 3: 40, 20, 10, 3, by a search from the longest run down."""
    table = traces_table([traced(0, {3: 0.1, 10: 0.2, 20: 0.3, 30: 0.4, 40: 0.5})])
    assert table.startswith("### toy (3 clusters)\n")
    assert head(table)[5:-1] == ["ACC after 3", "10", "20", "40"]
    assert cells(table)[0][5:-1] == ["10.0", "20.0", "30.0", "50.0"]
    assert cells(traces_table([traced(0, {10: 0.2})], "nmi"))[0][5:-1] == ["10.0"]


def test_means_are_over_seeds_that_were_all_looked_at():
    made = [traced(0, {10: 0.2, 20: 0.6}), traced(1, {10: 0.4, 20: 0.8}), traced(0, {20: 0.9, 40: 1.0}, dim=3)]
    short, long = cells(traces_table(made))
    assert short[5:-1] == ["30.0\u00a0±\u00a010.0", "70.0\u00a0±\u00a010.0", "–"]
    assert long[5:-1] == ["–", "90.0", "100.0"]
    made[1]["selection"]["candidates"] = made[1]["selection"]["candidates"][1:]
    assert cells(traces_table(made))[0][5] == "–"


def test_what_was_not_looked_at_has_no_row():
    other = traced(0, {11: 0.5}, name="dsc-l1")  # 11 is no column beside 20
    (row,) = cells(traces_table([traced(0, {20: 0.6}), other, baseline(0, 0.5), record(0, 0.5)]))
    assert row[0] == "dsc-l2"
    one_clear_error(lambda: traces_table([baseline(0, 0.5)]), ValueError, "looked at C")
