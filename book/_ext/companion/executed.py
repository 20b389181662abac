"""Pages of executed notebooks: names of their folds, and short pages of runs like another."""

from __future__ import annotations

from docutils import nodes


def title(node: nodes.Node) -> str:
    """The heading that a node stands under."""
    while not isinstance(node, nodes.section):
        node = node.parent
    return node[0].astext().partition(":")[0]


def named(cell: nodes.container) -> str:
    """What the fold of a cell's code is called."""
    metadata, source = cell["cell_metadata"], cell[0].astext()
    if "parameters" in metadata.get("tags", []):
        return "Code: parameters"
    if source.startswith(("import ", "from ")):
        return "Code: imports"
    kind = ", figure" if "figure" in metadata.get("mystnb", {}) else ""
    return f"Code: {title(cell)}{kind}"


def executed(app, doctree: nodes.document) -> None:
    """Name the folds of a run's page. Of a short one, keep headings, figures, tables and numbers.

    Only what is shown is cut: the notebook that a reader downloads is whole.
    """
    if not app.env.docname.startswith("runs/"):
        return
    short = any("short" in each["classes"] for each in doctree.findall(nodes.container))
    for cell in list(doctree.findall(nodes.container)):
        if cell.get("nb_element") != "cell_code":
            continue
        if cell.get("hide_mode"):
            cell["prompt_show"] = cell["prompt_hide"] = named(cell)
        if short:
            cell.children = [each for each in cell if each["nb_element"] == "cell_code_output"]
            if not cell.children:
                cell.parent.remove(cell)
    for section in list(doctree.findall(nodes.section))[1:] if short else ():
        section.children = [
            each
            for each in section
            if isinstance(
                each, nodes.title | nodes.section | nodes.raw
            )  # raw: a place that numbers lead to
            or each.get("nb_element") == "cell_code"
        ]
        if len(section) == 1:
            section.parent.remove(section)
