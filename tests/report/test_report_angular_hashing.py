"""The words of Figure 1 tell what its vectors show, and nothing of vectors that are not there."""

import numpy as np
import pytest

from report.figures.angular_hashing import angles_of, apart, hashing_finding, near_and_far


@pytest.mark.parametrize(
    ("degrees", "said"),
    [
        ([0, 10, 20, 170], "of rotations, those more than 60 degrees apart in "),
        ([0, 10, 20, 25], "of rotations; none are more than 60 degrees apart"),
        (
            [0, 90, 180, 270],
            "Projected on a plane, no two vectors of this head are less than 30 degrees apart",
        ),
    ],
)
def test_what_no_pair_of_vectors_tells_is_not_told(degrees, said):
    plane = [[np.cos(np.radians(d)), np.sin(np.radians(d))] for d in degrees]
    head = {"plane": plane, "plane_buckets": [[0, 0, 1, 2]] * 3}
    assert said in hashing_finding(head)
    assert "nan" not in hashing_finding(head)


def test_the_pairs_that_are_followed_say_what_the_title_says():
    """Near ones share a bucket in most rotations, far ones in hardly any; a few do otherwise."""
    rng = np.random.default_rng(0)
    degrees = np.concatenate([rng.uniform(-60, 200, 40), [0, 15, 60, 63]])
    plane = [[np.cos(np.radians(d)), np.sin(np.radians(d))] for d in degrees]
    buckets = np.array([(degrees + turned) // 90 % 4 for turned in (0, 40, 70)])
    buckets[:, -4:] = [[0, 1, 2, 2], [1, 2, 3, 3], [2, 3, 0, 0]]
    angles = angles_of({"plane": plane})
    near, far = near_and_far(angles, buckets)
    assert apart(angles, *near) < 30
    assert apart(angles, *far) >= 90
    assert (buckets[:, near[0]] == buckets[:, near[1]]).sum() >= 2
    assert not (buckets[:, far[0]] == buckets[:, far[1]]).any()
    assert near_and_far(angles, buckets) == (near, far)


@pytest.mark.parametrize("degrees", [[0, 10, 20], [0, 70, 140]])
def test_pairs_are_followed_also_where_none_is_near_or_far(degrees):
    near, far = near_and_far(np.radians(degrees), np.array([[0, 0, 1]]))
    assert {near, far} <= {(0, 1), (0, 2), (1, 2)}
