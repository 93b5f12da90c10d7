"""The YAML that the pages on importing show is imported whole."""

import re
from pathlib import Path

import pytest

from tests.policy.importing.importing import clean

BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = sorted(Path("docs/importing").glob("*.md"))
BLOCKS = [(page.name, text) for page in PAGES for text in BLOCK.findall(page.read_text())]


@pytest.mark.parametrize(("page", "text"), BLOCKS)
def test_what_a_page_shows_is_imported(page, text):
    found = clean(text)
    assert found.rules
