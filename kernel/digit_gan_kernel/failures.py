"""Finds failures that evcxr reports as success; see jupyter/jupyter_nbconvert_config.py."""

from nbclient.exceptions import CellExecutionError
from nbconvert.nbconvertapp import NbConvertApp


def check(cell, cell_index: int, execute_reply: dict) -> None:
    """nbclient's hook after each code cell. Raises, naming the cell, if it wrote to stderr, unless failing is allowed:
    by the cell's tag `raises-exception` or by `--allow-errors`."""
    if "user_expressions" in execute_reply["content"]:
        return  # a Python kernel's reply: there stderr is for warnings too
    if "raises-exception" in cell.metadata.get("tags", []):
        return
    if NbConvertApp.initialized() and NbConvertApp.instance().config.ExecutePreprocessor.get("allow_errors"):
        return
    outputs = [output for output in cell.outputs if output.get("name") == "stderr" or output.output_type == "error"]
    if outputs:
        text = "".join(output.get("text") or output.get("evalue", "") for output in outputs).strip()
        first_line = cell.source.strip().splitlines()[0]
        where = f"cell {cell_index + 1} (`{first_line}`, In [{cell.execution_count}]) failed"
        raise CellExecutionError(f"{where}:\n{text}", ename="Failure", evalue=f"{where}: {text.splitlines()[0]}")
