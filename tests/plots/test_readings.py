"""The figures of one C under many readings, and of one problem under many penalties."""

from bad_input import one_clear_error

from dmsc import plots


def rows(title, **acc):
    return [{"title": title, "dim": int(key[1:]), "alpha": 3.5, "acc": value} for key, value in acc.items()]


def test_cells_are_percents_in_order_and_the_marked_reading_has_a_frame():
    seeds = rows("orl", d10=0.4, d3=0.9) + rows("orl", d10=0.6, d3=0.9)
    fig = plots.show_readings(seeds + rows("faces", d6=0.125), {"orl": (3, 3.5), "faces": (10, 8.0)})
    orl, faces = fig.axes
    assert [ax.get_title() for ax in (orl, faces)] == ["orl", "faces"]
    assert [text.get_text() for text in orl.texts] == ["90", "50"]
    assert [text.get_text() for text in orl.get_yticklabels()] == ["3", "10"]
    assert [patch.get_xy() for patch in orl.patches] == [(0, 0)]
    assert not faces.patches  # its marked reading was not drawn


def test_more_panels_than_fit_beside_each_other_go_below():
    fig = plots.show_readings([row for i in range(6) for row in rows(f"set {i}", d3=0.5)])
    drawn = [ax for ax in fig.axes if ax.get_title()]
    assert len(drawn) == 6 and len({round(ax.get_position().y0, 2) for ax in drawn}) == 2


def penalties(title, **changes):
    return [
        {"title": title, "ridge": r, "plain": a, "paper": b, "chosen": 0.1} | changes
        for r, a, b in ((10.0, 0.6, 0.9), (0.1, 0.5, 0.4), (1.0, 0.7, 0.3))
    ]


def test_accuracies_stand_over_their_penalties_in_order_with_the_choice_and_the_network():
    fig = plots.show_penalties(penalties("orl") + penalties("faces", chosen=1.0), {"orl": {"paper": 0.8}})
    orl, faces = fig.axes
    drawn = {line.get_label(): line.get_xydata().tolist() for line in orl.lines}
    assert drawn["no network, plain affinity"] == [[0.1, 0.5], [1, 0.7], [10, 0.6]]
    assert drawn["no network, paper's reading"] == [[0.1, 0.4], [1, 0.3], [10, 0.9]]
    assert [y for _, y in drawn["trained network, paper's reading"]] == [0.8, 0.8]
    assert [x for x, _ in drawn["penalty chosen without labels"]] == [0.1, 0.1]
    assert len(faces.lines) == 3 and faces.lines[-1].get_xdata()[0] == 1
    assert len(fig.legends[0].get_texts()) == 4  # each name once
    assert len(plots.show_penalties([row for i in range(4) for row in penalties(f"set {i}")]).axes) == 6


def test_no_rows():
    for figure in (plots.show_readings, plots.show_penalties):
        one_clear_error(lambda figure=figure: figure([]), ValueError, ("rows", "at least one"))
