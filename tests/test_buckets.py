"""The arithmetic of buckets and chunks holds for all lengths and sizes."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reformer import LSHConfig
from reformer.config import FACTORIZE_FROM, bucket_factors
from reformer.hashing import exact_factors


@given(st.integers(1, 5000))
def test_bucket_factors_are_the_smallest_legal_product(n_buckets):
    small, large = bucket_factors(n_buckets)
    products = [
        a * b for a in range(2, 160, 2) for b in range(a, 4 * a + 1, 2) if a * b >= n_buckets
    ]
    assert small % 2 == large % 2 == 0
    assert small <= large <= 4 * small
    assert small * large == min(products)


@given(st.integers(1, 100_000), st.integers(1, 600), st.booleans())
@example(18353, 127, True)
def test_n_buckets_is_what_angular_hashing_makes(length, bucket_size, factorize):
    config = LSHConfig(bucket_size=bucket_size, factorize_hash=factorize)
    wanted, n_buckets = length / bucket_size, config.n_buckets(length)
    assert n_buckets >= min(wanted, 1)
    if wanted <= 1:
        assert n_buckets == 1
        return
    assert n_buckets >= wanted
    assert n_buckets % 2 == 0
    if factorize and wanted >= FACTORIZE_FROM:
        assert n_buckets <= 10 / 9 * wanted, "at most: 160 for what is just above 144"
        assert len(config.hash_factors(length)) == 2
    else:
        assert n_buckets < wanted + 2
        assert config.hash_factors(length) == (n_buckets,)


@given(st.integers(1, 2000))
def test_hashing_factorises_only_what_multiplies_to_the_same_number(half):
    n_buckets = 2 * half
    factors = exact_factors(n_buckets)
    product = 1
    for factor in factors:
        assert factor % 2 == 0
        product *= factor
    assert product == n_buckets
    assert len(factors) == 1 or n_buckets >= FACTORIZE_FROM


@given(st.integers(0, 1000), st.integers(1, 300))
def test_require_length_names_the_nearest_legal_lengths(length, m):
    config = LSHConfig(chunk_length=m)
    if length > 0 and length % m == 0:
        config.require_length(length)
        return
    with pytest.raises(ValueError, match=f"length {length} is not a multiple") as refusal:
        config.require_length(length)
    named = [int(n) for n in str(refusal.value).split("nearest legal: ")[1].split(", ")]
    legal = range(m, 1000 + 2 * m, m)
    assert all(n in legal for n in named)
    assert min(legal, key=lambda n: abs(n - length)) in named
