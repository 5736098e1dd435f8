"""The task `enwiki-head`, a stand-in for enwik8, is the head of a 2016 English Wikipedia dump.

Its 6 MB come with gensim's test data and are CC BY-SA (Wikipedia). It has enwik8's order and
format, but its bits per byte do not compare with published values for enwik8.
"""

import bz2
from contextlib import suppress

import numpy as np

from reformer.checks import require
from suites.tasks.files import cache_folder, read_of_package, sha256, split_sizes, write_atomically
from suites.tasks.text import TextTask

BZ2_PATH = "test/test_data/enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"
BZ2_SHA256 = "a53f4648dec40467ebdcbc7a1307eddb51fe6e28e9309f6ebde81ba0d04bea2d"
XML_SHA256 = "34c1c63050c87cc8477b9ae36b1cb0edf372612c92938b742e579a7109c20fa4"
XML_BYTES = 6_089_746
INSTALL = "install it with: pip install --force-reinstall 'gensim>=4.3,<5'"


def load_enwiki_head() -> TextTask:
    """Load the embedded text, split 90 / 5 / 5 % by position.

    Raises ValueError if gensim or its file is missing or damaged.
    """
    return TextTask(
        name="enwiki-head",
        data=np.frombuffer(read_xml(), dtype=np.uint8),
        splits=split_sizes(XML_BYTES),
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
    require(sha256(xml) == XML_SHA256, f"the text in gensim's {BZ2_PATH} is damaged; {INSTALL}")
    with suppress(OSError):  # without a cache it is only slower
        write_atomically(cached, xml)
    return xml


def read_bz2() -> bytes:
    """Read gensim's file, checked, without importing gensim, which would take seconds.

    Raises ValueError if gensim or the file is missing or damaged.
    """
    return read_of_package("enwiki-head", "gensim", BZ2_PATH, BZ2_SHA256, INSTALL)
