"""The figure of one C under many readings."""

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


def test_no_rows():
    one_clear_error(lambda: plots.show_readings([]), ValueError, ("rows", "at least one"))
