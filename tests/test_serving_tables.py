"""docs/serving.md: its tables and formulas say what records, graphs and files have."""

from __future__ import annotations

import re

import numpy as np
import pytest
import serving_page

from lrea_cli.recipe.settings import CACHE_DTYPES, METHOD_NAMES, CacheDtype
from lrea_cli.records.format import Record, RecordFormat
from tests.test_serving_page import PAGE

D, M = serving_page.WIDTH, serving_page.VALUES


def table(name: str) -> list[list[str]]:
    """The cells of a generated table, as they stand on the page, without its head."""
    (text,) = re.findall(rf"<!-- table: {name} -->\n(.*?)\n<!-- end -->", PAGE, re.DOTALL)
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()[2:]]


def test_the_table_of_bytes_is_that_of_packed_records() -> None:
    kinds = serving_page.kinds()
    rows = {"`sdim`": 128, "`sketch`": 128, "`linear`": 32, "`din-short`": 0, "`category`": M, "`twin-v2`": M}
    seen = 0
    for name, *cells in table("bytes"):
        kind = re.sub(r", \d+ (behaviors|categories|clusters)$", "", name)
        fields = kinds.get(kind, serving_page.fields_of(method="lrea"))
        used = int((re.findall(r"R = (\d+)", name) or [rows.get(kind, serving_page.LONG)])[0])
        cases: list[tuple[int | None, CacheDtype]] = [(v, d) for v in (None, M) for d in CACHE_DTYPES]
        for cell, (values, dtype) in zip(cells, cases, strict=True):
            layout = RecordFormat(fields, dtype, () if values is None else ("category",))
            sizes = {"rows": used, "category_values": values or 0}
            arrays = {c.name: np.zeros((c.count(sizes), *c.shape), c.dtype) for c in layout.columns}
            assert f"{len(layout.pack(1, Record(9, sizes, arrays))):,}" == cell
            seen += 1
    assert seen == 6 * 14


def test_the_table_of_columns_has_those_of_every_method() -> None:
    shown: dict[str, list[list[str]]] = {}
    for kind, *cells in table("columns"):
        shown.setdefault(kind or [*shown][-1], []).append(cells)
    for kind, fields in serving_page.kinds().items():
        for position, dtype in enumerate(CACHE_DTYPES):
            lines = [(name.strip("`"), cells[position]) for name, _, *cells in shown[kind] if name != "none"]
            stored = [(c.name, c.dtype) for c in RecordFormat(fields, dtype).columns]
            assert [line for line in lines if line[1]] == stored
    named = {name for kind in serving_page.kinds() for name in re.findall(r"`([\w-]+)`", kind)}
    assert named == set(METHOD_NAMES)


@pytest.mark.parametrize("dtype", CACHE_DTYPES)
@pytest.mark.parametrize("R", [1, 3, 128])
@pytest.mark.parametrize("M", [0, 1, 100])
def test_the_formulas_give_the_bytes_of_a_record(dtype: CacheDtype, R: int, M: int) -> None:
    formulas = dict(
        re.findall(r"^    (head|float32|float16|int8|counters|checksum) +(\S.*?)(?:  .*)?$", PAGE, re.MULTILINE)
    )
    names = {"up8": lambda size: -(-size // 8) * 8, "R": R, "D": D, "M": M, "C": 1}
    size = sum(eval(formulas[part], names) for part in ("head", dtype, "counters", "checksum"))
    assert size == serving_page.record_size(serving_page.fields_of(method="lrea"), dtype, R, M)


def test_every_input_of_every_graph_is_in_the_table(make_run) -> None:
    pytest.importorskip("onnx")
    from lrea_cli.serving.export.onnx_graph import request_graph

    (text,) = re.findall(r"\| input \| shape \| type \| what \|\n.*?\n(.*?)\n\n", PAGE, re.DOTALL)
    rows = [re.findall(r"`(.*?)` \| (.*?) \| (.*?) \|", line)[0] for line in text.splitlines()]
    patterns = {re.sub("<.*>", r"\\w+", name): (shape, types) for name, shape, types in rows}
    names = {1: "float32", 2: "uint8", 6: "int32", 7: "int64"}
    used = set()
    for method in METHOD_NAMES:
        graph = request_graph(make_run(method=method, match_counters=("category",)).model).graph
        for given in graph.input:
            ((pattern, (shape, types)),) = [(p, s) for p, s in patterns.items() if re.fullmatch(p, given.name)]
            used.add(pattern)
            kind = given.type.tensor_type
            assert names[kind.elem_type] in types
            axes = ", ".join(d.dim_param or str(d.dim_value) for d in kind.shape.dim)
            if not given.name.startswith("record_"):
                assert shape.replace("counters", "1").replace(",)", ")") == f"({axes})"
    assert used == set(patterns)
