"""The words of Figure 1 tell what its vectors show, and nothing of vectors that are not there."""

import numpy as np
import pytest

from report.figures.angular_hashing import hashing_finding


@pytest.mark.parametrize(
    ("degrees", "said"),
    [
        ([0, 10, 20, 170], "of rotations, those more than 60 degrees apart in "),
        ([0, 10, 20, 25], "of rotations; none are more than 60 degrees apart"),
        ([0, 90, 180, 270], "No two vectors of this head are less than 30 degrees apart"),
    ],
)
def test_what_no_pair_of_vectors_tells_is_not_told(degrees, said):
    plane = [[np.cos(np.radians(d)), np.sin(np.radians(d))] for d in degrees]
    head = {"plane": plane, "plane_buckets": [[0, 0, 1, 2]] * 3}
    assert said in hashing_finding(head)
    assert "nan" not in hashing_finding(head)
