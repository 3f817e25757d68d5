"""The prose of the notebooks, against what their cells show: numbers, the frame, predictions, lengths, descriptions.

Only committed files are read, no kernel is started. A failure names notebook, cell and what is wrong.
"""

import re
import statistics
from decimal import Decimal

import nbformat
import pytest
from pages import NOTEBOOKS, Cell, blocks, cells, headings, marked, pictures, prose, shown, walk

MEDIAN_LINES, MOST_LINES = 8, 24

# 0.87, 12.5%, 87%, 10,000, 50 000; neither versions (0.21.1) nor parts of words (ReLU6.0).
QUOTED = re.compile(r"(?<![\w.,:])(\d{1,3}(?:[,\u00a0\u202f ]\d{3})+(?:\.\d+)?|\d+\.\d+|\d+(?= ?%))( ?%)?(?!\w|[.:,]\d)")
# The same as code, tables and captions write them: 10_000, 2e-4, 10 000.
WRITTEN = re.compile(r"\d{1,3}(?:[,_\u00a0\u202f ]\d{3})+(?:\.\d+)?|\d[\d_]*(?:\.\d+)?(?:e[+-]?\d+)?")

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def complain(complaints) -> None:
    if found := list(complaints):
        pytest.fail("\n".join(found), pytrace=False)


@each_notebook
def test_every_number_quoted_stands_in_an_output_or_a_cell(path):
    complain(numbers_from_nowhere(cells(path)))


@each_notebook
def test_code_cells_are_short(path):
    complain(long_cells(cells(path)))


@each_notebook
def test_the_frame_is_there(path):
    complain(missing_frame(cells(path)))


@each_notebook
def test_a_prediction_comes_before_its_cell(path):
    complain(misplaced_predictions(cells(path)))


@each_notebook
def test_every_output_is_read(path):
    complain(unread_outputs(cells(path)))


@each_notebook
def test_every_picture_is_described(path):
    complain(undescribed_pictures(cells(path)))


@each_notebook
def test_nothing_is_left_to_be_filled_in(path):
    marks = r"@[A-Z0-9_]+@|PROSE_?\w*|TODO|FIXME"
    complain(f"{cell}: {mark}" for cell in cells(path) for mark in re.findall(marks, cell.source))


def numbers_from_nowhere(notebook: list[Cell]):
    """Numbers with a decimal point, a percent sign or a thousands separator that no output and no code has."""
    code = "\n".join(f"{cell.source}\n{shown(cell)}" for cell in notebook if cell.kind == "code")
    # 0.1 200 may be one number, or two next to each other.
    written = {number(token) for token in WRITTEN.findall(code) + re.findall(r"\d+(?:\.\d+)?", code)}
    for cell in notebook:
        if cell.kind == "markdown":
            for quoted, percent in QUOTED.findall(quotable(cell.source)):
                if not any(same(number(quoted), bool(percent), value) for value in written):
                    yield f"{cell}: {quoted}{percent.strip()} stands in no output and no code cell of this notebook"


def quotable(source: str) -> str:
    """The prose, but for the minutes of the frame, which depend on the machine, and the numbers of headings."""
    texts = []
    for block in blocks(source):
        text = prose(block)
        if block["type"] == "heading":
            text = re.sub(r"^[\d.]+ ", "", text)
        texts.append(re.split(r"(?m)^Time\b", text)[0])
    return "\n\n".join(texts)


def number(token: str) -> Decimal:
    return Decimal(re.sub(r"[,_\u00a0\u202f ]", "", token))


def same(quoted: Decimal, percent: bool, written: Decimal) -> bool:
    """Whether `written`, rounded to the digits that are quoted, is what is quoted; 0.872 is 87% as well."""
    digits = quoted.as_tuple().exponent
    half = Decimal(5).scaleb(digits - 1)

    def near(value: Decimal) -> bool:
        return value == quoted or (value.as_tuple().exponent < digits and abs(value - quoted) <= half)

    return near(written) or (percent and near(written * 100))


def long_cells(notebook: list[Cell]):
    lines = {str(cell): len(cell.source.splitlines()) for cell in notebook if cell.kind == "code"}
    yield from (f"{cell}: {count} lines, more than {MOST_LINES}" for cell, count in lines.items() if count > MOST_LINES)
    if (median := statistics.median(lines.values())) > MEDIAN_LINES:
        yield f"{notebook[0].notebook}: code cells have a median of {median} lines, more than {MEDIAN_LINES}"


def missing_frame(notebook: list[Cell]):
    """What stands around the lesson: goals, needs and minutes before the first section, exercises and solutions behind."""
    name, whole = notebook[0].notebook, "\n\n".join(cell.source for cell in notebook if cell.kind == "markdown")
    bold = [words.strip(" .:") for words in marked(re.split(r"(?m)^## ", whole)[0], "strong")]
    for words in ("You will be able to", "You need", "Time"):
        if words not in bold:
            yield f"{name}: no **{words}** before the first section"
    if "Predict" not in [words.strip(" .:") for words in marked(whole, "strong")]:
        yield f"{name}: no **Predict.**"
    titles = headings(whole)
    for title in ("Exercises", "Solutions"):
        if title not in titles:
            yield f"{name}: no heading {title}"
    if {"Exercises", "Solutions"} <= set(titles):
        if titles.index("Exercises") > titles.index("Solutions"):
            yield f"{name}: Solutions stand before Exercises"
        yield from unchecked_exercises(name, whole)
        yield from open_solutions(notebook)


def unchecked_exercises(name: str, whole: str):
    section = re.split(r"(?m)^## ", whole.split("\n## Exercises", 1)[1])[0]
    lists = [block for block in blocks(section) if block["type"] == "list" and block["attrs"].get("ordered")]
    exercises = [prose(item) for block in lists for item in block["children"]]
    if not 3 <= len(exercises) <= 5:
        yield f"{name}: {len(exercises)} numbered exercises, not 3 to 5"
    yield from (f"{name}: exercise {i} has no “Check:”" for i, text in enumerate(exercises, 1) if "Check:" not in text)


def open_solutions(notebook: list[Cell]):
    """Code below Solutions is folded and tagged, so that a reader can try first."""
    behind = False
    for cell in notebook:
        behind |= cell.kind == "markdown" and "Solutions" in headings(cell.source)
        if behind and cell.kind == "code" and not (cell.hidden and "solution" in cell.tags):
            yield f'{cell}: a solution needs the metadata {{"jupyter": {{"source_hidden": true}}, "tags": ["solution"]}}'


def misplaced_predictions(notebook: list[Cell]):
    """A prediction asks a question, and the cell that answers it comes next."""
    for cell, following in zip(notebook, [*notebook[1:], None]):
        texts = map(prose, blocks(cell.source)) if cell.kind == "markdown" else []
        asking = [text for text in texts if text.startswith("Predict.")]
        for text in asking:
            if "?" not in text:
                yield f"{cell}: “{first_words(text)}” asks nothing"
        if asking and (not following or following.kind != "code"):
            yield f"{cell}: a prediction, and no code cell behind it"


def unread_outputs(notebook: list[Cell]):
    """Prose follows each output before the next one and before a heading. `setup()` says itself what it is."""
    waiting = None
    for cell in notebook:
        if cell.kind == "markdown":
            if waiting and not reads(cell):
                yield f"{waiting}: no sentence below reads its output"
            waiting = None
        elif cell.kind == "code" and cell.outputs:
            if waiting:
                yield f"{waiting}: no sentence reads its output before the next one, {cell.id}"
            waiting = None if cell.source.rstrip().endswith("setup()") else cell
    if waiting:
        yield f"{waiting}: no sentence below reads its output"


def reads(cell: Cell) -> bool:
    first = next(iter(blocks(cell.source)), None)
    return bool(first) and first["type"] != "heading" and not prose(first).startswith("Predict.")


def undescribed_pictures(notebook: list[Cell]):
    for cell in notebook:
        if cell.kind == "markdown":
            images = (token for token in walk(blocks(cell.source)) if token["type"] == "image")
            found = ["".join(map(prose, image["children"])) for image in images]
        else:
            found = pictures(cell)
        if not all(found) or any(text.startswith("Figure(") for text in found):
            yield f"{cell}: a picture without a description"


def first_words(text: str) -> str:
    return " ".join(text.split()[:8])


def markdown_cell(source: str, index: int = 0) -> Cell:
    return Cell("n", index, "m", "markdown", source, [], [], False)


def code_cell(source: str, printed: str = "", **data) -> Cell:
    outputs = [nbformat.v4.new_output("stream", text=printed)] if printed else []
    outputs += [nbformat.v4.new_output("execute_result", data=data["data"])] if data else []
    return Cell("n", 1, "c", "code", source, outputs, [], False)


@pytest.mark.parametrize(
    "quotes, shows, missing",
    [
        ("It is 4.60, as the table has it, or 4.6.", "Fréchet distance 4.599", []),
        ("It is 4.5.", "Fréchet distance 4.599", ["4.5"]),
        ("It is 5.0.", "5", []),
        ("87% of them, or 87.2%", "coverage 0.872", []),
        ("86% of them", "coverage 0.872", ["86%"]),
        ("10,000 digits and 60,000 digits", "10000 test digits, 60_000", []),
        ("1,150,000 images", "1148160 images", ["1,150,000"]),
        ("## 2.5 · A section\n\nof 2 digits in 2014, `0.7`, $0.8$, [this](https://arxiv.org/abs/1411.1784) with 0.21.1", "", []),
        ("- **You need** 0.1\n- **Time**: 1.5 minutes", "", ["0.1"]),
    ],
)
def test_numbers_are_told_from_each_other(quotes, shows, missing):
    found = list(numbers_from_nowhere([markdown_cell(quotes), code_cell("", shows)]))
    assert [complaint.split(": ")[1].split(" ")[0] for complaint in found] == missing


def test_the_rules_see_what_breaks_them():
    picture = {"image/png": "iVBO", "text/plain": "Two digits."}
    good = [
        markdown_cell("# T\n\n- **You will be able to** a\n- **You need** b\n- **Time**: c\n\n## 1 · S\n\n**Predict.** Which?"),
        code_cell("x", data=picture),
        markdown_cell("It is this.\n\n## Exercises\n\n1. A. Check: b\n2. A. Check: b\n3. A. Check: b\n\n## Solutions"),
    ]
    rules = [missing_frame, misplaced_predictions, unread_outputs, undescribed_pictures, long_cells]
    assert [list(rule(good)) for rule in rules] == [[]] * 5

    frameless = good[:1] + [markdown_cell("## Exercises\n\n1. A\n\n## Solutions"), code_cell("y")]
    assert len(list(missing_frame(frameless))) == 3  # too few, no check, an open solution
    assert len(list(missing_frame([markdown_cell("# T")]))) == 6
    assert len(list(misplaced_predictions([markdown_cell("**Predict.** Nothing."), markdown_cell("x")]))) == 2
    for behind in ([], [markdown_cell("## 2")], [markdown_cell("**Predict.** Why?")], [code_cell("z", "1"), markdown_cell("z")]):
        assert len(list(unread_outputs([code_cell("y", "1"), *behind]))) == 1
    assert list(undescribed_pictures([markdown_cell("![](x.png)"), code_cell("y", data={"text/html": "<img>"})]))
    assert list(long_cells([code_cell("\n" * 25)])) and list(long_cells([code_cell("\n" * 9)]))
