"""The digests that name what a change moves."""

import padviz
from tests import digests


def test_a_figure_that_differs_is_named() -> None:
    old = digests.rows_of(("one", lambda: padviz.load("vgg11"), [(32, 40), (1, 1)]))
    new = digests.rows_of(("one", lambda: padviz.load("vgg13"), [(32, 40)]))
    named = [line.partition(":")[0] for line in digests.differences(old, new)]
    assert {"one at (32, 40), counts", "one at (1, 1)"} < {*named}
    assert [*digests.differences(old, old)] == []
