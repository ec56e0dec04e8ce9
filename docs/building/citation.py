"""The page that says how to cite bptt, from CITATION.cff."""

from pathlib import Path
from typing import Any, Final

import yaml

_SOURCE: Final = Path(__file__).parents[2] / "CITATION.cff"


def write_page() -> str:
    """The page in Markdown, less its title."""
    cited: dict[str, Any] = yaml.safe_load(_SOURCE.read_text(encoding="utf-8"))
    authors = [author.get("name") or f"{author['given-names']} {author['family-names']}" for author in cited["authors"]]
    released = str(cited.get("date-released", ""))
    year = [f"  year    = {{{released[:4]}}},"] if released else []
    bibtex = "\n".join(
        [
            "@software{bptt,",
            f"  author  = {{{' and '.join('{' + name + '}' for name in authors)}}},",
            f"  title   = {{{cited['title']}}},",
            f"  version = {{{cited['version']}}},",
            *year,
            f"  license = {{{cited['license']}}}",
            "}",
        ]
    )
    when = f" ({released[:4]})" if released else ""
    return f"""If bptt helps your research, please cite it.

{", ".join(authors)}{when}. *{cited["title"]}* Version {cited["version"]}.

```bibtex
{bibtex}
```

The same is in `CITATION.cff`, at the top of the repository, which reference managers read.

## Cite a result

A number is cited with what makes it again: the sweep's name, the version of bptt and the commit that trained it. All
of it stands at the end of [each report](results/README.md#all-reports), under *How to repeat it*, with the commands
that train the sweep, and that say whether every bit is the same.

## Cite what it stands on

A method is its authors': each choice of `bptt` names the paper that it is from in [the
reference](reference/components.md), each task in [Tasks](tasks.md), and each statistic in [Metrics and
statistics](metrics.md).
"""
