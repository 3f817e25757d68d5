"""Executes notebooks for nbconvert, and fails where a Rust cell fails; see jupyter/jupyter_nbconvert_config.py."""

from queue import Empty

from jupyter_core.utils import ensure_async, run_sync
from nbclient.exceptions import CellExecutionError
from nbconvert.preprocessors import ExecutePreprocessor

# evcxr sends a cell's stderr without waiting for it, so a failure may come after the word that the cell has ended:
# some milliseconds on an idle machine. What comes later still counts, against the next cell; the last has none.
LATE, LAST = 0.15, 1.0


class RustExecutePreprocessor(ExecutePreprocessor):
    """nbconvert's own, and any stderr output of a Rust cell is a failure, unless it is allowed: by the cell's tag
    `raises-exception` or by `--allow-errors`."""

    coalesce_streams = True  # evcxr sends each line by itself; a file keeps them as the one text that they are

    def preprocess_cell(self, cell, resources, index):
        if cell.cell_type != "code" or self.nb.metadata.language_info.name.lower() != "rust":
            return super().preprocess_cell(cell, resources, index)
        try:
            cell, resources = super().preprocess_cell(cell, resources, index)
        except CellExecutionError:
            errors = [output for output in cell.outputs if output.output_type == "error"]
            message = "\n".join(line for error in errors for line in error.traceback or [error.evalue])
            raise named(cell, index, message) from None
        self.collect_late_output(cell, index)
        allowed = self.allow_errors or "raises-exception" in cell.metadata.get("tags", [])
        message = "".join(output.text for output in cell.outputs if output.get("name") == "stderr").strip()
        if message and not allowed:
            raise named(cell, index, message)
        return cell, resources

    def collect_late_output(self, cell, index: int) -> None:
        last = all(later.cell_type != "code" for later in self.nb.cells[index + 1 :])

        async def collect() -> None:
            try:
                while True:
                    message = await ensure_async(self.kc.get_iopub_msg(timeout=LAST if last else LATE))
                    if message["msg_type"] == "stream":
                        self.process_message(message, cell, index)
            except Empty:
                pass

        run_sync(collect)()


def named(cell, index: int, message: str) -> CellExecutionError:
    first_line = (cell.source.strip().splitlines() or [""])[0]
    where = f"cell {index + 1} (`{first_line}`, In [{cell.execution_count}]) failed"
    return CellExecutionError(f"{where}:\n{message}", ename="Failure", evalue=f"{where}: {message}")
