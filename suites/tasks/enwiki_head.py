"""The task `enwiki-head`, a stand-in for enwik8, is the head of a 2016 English Wikipedia dump.

Its 6 MB come with gensim's test data and are CC BY-SA (Wikipedia). It has enwik8's order and
format, but its bits per byte do not compare with published values for enwik8.
"""

import bz2
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from reformer.checks import require
from suites.tasks.files import cache_folder, sha256, write_atomically
from suites.tasks.text import TextTask

BZ2_PATH = Path(
    "test/test_data/enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"
)
BZ2_SHA256 = "a53f4648dec40467ebdcbc7a1307eddb51fe6e28e9309f6ebde81ba0d04bea2d"
XML_SHA256 = "34c1c63050c87cc8477b9ae36b1cb0edf372612c92938b742e579a7109c20fa4"
XML_BYTES = 6_089_746
INSTALL = "install it with: pip install --force-reinstall 'gensim>=4.3,<5'"


def load_enwiki_head() -> TextTask:
    """Load the embedded text, split 90 / 5 / 5 % by position.

    Raises ValueError if gensim or its file is missing or damaged.
    """
    n_train, n_train_valid = XML_BYTES * 90 // 100, XML_BYTES * 95 // 100
    return TextTask(
        name="enwiki-head",
        data=np.frombuffer(read_xml(), dtype=np.uint8),
        splits={
            "train": n_train,
            "valid": n_train_valid - n_train,
            "test": XML_BYTES - n_train_valid,
        },
        sha256=XML_SHA256,
        stand_in=True,
        source="gensim's test data: the head of the English Wikipedia dump of 2016",
    )


def read_xml() -> bytes:
    """Read the text, checked, and keep it unpacked in the user's cache.

    From the cache it takes 7 ms a process instead of 330 ms. Raises ValueError if gensim or its
    file is missing or damaged.
    """
    cached = cache_folder() / f"enwiki-head-{XML_SHA256[:12]}.xml"
    with suppress(OSError):
        # a pipe in its place would be read for ever
        content = cached.read_bytes() if cached.is_file() else b""
        if sha256(content) == XML_SHA256:
            return content
    xml = bz2.decompress(read_bz2())
    require(
        sha256(xml) == XML_SHA256, f"the text in gensim's {BZ2_PATH.name} is damaged; {INSTALL}"
    )
    with suppress(OSError):  # without a cache it is only slower
        write_atomically(cached, xml)
    return xml


def read_bz2() -> bytes:
    """Read gensim's file, checked, without importing gensim, which would take seconds.

    Raises ValueError if gensim or the file is missing or damaged.
    """
    spec = find_spec("gensim")
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(
            f"task 'enwiki-head' needs the package gensim, which is not installed; {INSTALL}"
        )
    file = Path(spec.submodule_search_locations[0]) / BZ2_PATH
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ValueError(
            f"task 'enwiki-head' cannot read {file}: {error.strerror}; {INSTALL}"
        ) from error
    require(
        sha256(content) == BZ2_SHA256,
        f"{file} is damaged or of another gensim: its sha256 is not {BZ2_SHA256}; {INSTALL}",
    )
    return content
