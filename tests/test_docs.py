"""The check of the pages finds what is broken, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = """
# A page

See [here](other.md), [there](missing.md), [below](#a-page), [nowhere](#no-heading),
[in the other](other.md#its-part), [outside](https://example.com/) and ![a picture](missing.png).

Run `make test` or `make coffee`, then `modelwidgets list` or `modelwidgets dance`; look into
`modelwidgets/records.py` and `modelwidgets/nothing.py`. Sentences that make coffee are no commands.

```sh
pip install modelwidgets[lab]
pip install "modelwidgets[moon]"
npm run build && npm run away
[not](a-link.md)
```
"""


def test_every_broken_reference_is_found_and_no_other(tmp_path: Path) -> None:
    """Links, headings, files and commands that do not exist are each named once."""
    (tmp_path / "other.md").write_text("# Other\n\n## Its part\n")
    page = tmp_path / "page.md"
    page.write_text(PAGE)

    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "check_links.py", page],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    said = [line.removeprefix(f"{page.resolve()}: ") for line in done.stdout.splitlines()]
    assert said == [
        "missing.md: there is no such file",
        "#no-heading: there is no such heading",
        "missing.png: there is no such file",
        '`pip install "modelwidgets[moon]"`: there is no extra moon',
        "`npm run build && npm run away`: package.json has no script away",
        "`make coffee`: the Makefile has no target coffee",
        "`modelwidgets dance`: modelwidgets has no command dance",
        "`modelwidgets/nothing.py`: there is no such file",
    ]
