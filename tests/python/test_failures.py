"""A cell that fails says so: in the protocol, and so in nbconvert and papermill, which stop there."""

import itertools
import os
import re
import signal
import subprocess
import sys

import nbformat
import pytest
from digit_gan_kernel import failures, listener
from digit_gan_kernel.cell import Cell
from rust_kernel import Kernel, plain_text

# cell, name and value of the error, and what its traceback shows
FAILURES = {
    "panic": ('let zero = 0;\npanic!("deliberate {zero}");', "Panic", "deliberate 0", "line 2: `panic!("),
    "assertion": ('assert_eq!(1 + 1, 3, "deliberate");', "Panic", "left: 2\n right: 3", "line 1: `assert_eq!"),
    "index": ("let at = std::env::args().count() + 5;\n[1, 2][at];", "Panic", "out of bounds", "line 2"),
    "unwrap": ('"x".parse::<i32>().unwrap();', "Panic", "InvalidDigit", "line 1"),
    "question mark": ('let two = 2;\n"é\\n".parse::<i32>()?;', "ParseIntError", "invalid digit", "line 2: `"),
    "boxed": ('let bad: Result<(), Box<dyn std::error::Error>> = Err("é\\n".into());\nbad?;', "Error", "é\n", "line 2: `bad?"),
    "compile error": ('let fine = 1;\nlet number: i32 = "text";', "CompileError", "mismatched types", "number: i32"),
    "unknown command": (":nonsense", "Error", "Unrecognised command", "nonsense"),
    "abort": ("std::process::abort();", "ProcessEnded", "SIGABRT", "variables are gone"),
    "exit": ("std::process::exit(3);", "ProcessEnded", "status: 3", "variables are gone"),
}
INTERNALS = re.compile(r"evcxr|run_user_code|catch_unwind|EVCXR|ctx::|rust_begin_unwind")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """One kernel outside the clone for all that needs no crate."""
    with Kernel(tmp_path_factory.mktemp("outside")) as kernel:
        yield kernel


@pytest.mark.parametrize("way", FAILURES)
def test_a_failure_is_an_error_message(way, plain):
    code, name, value, shown = FAILURES[way]
    plain.run("let kept = vec![41, 1];").text()
    failed = plain.run(code)
    assert failed.status == "error"
    assert failed.name == name
    assert value in failed.value
    assert shown in plain_text(failed.error)
    assert not INTERNALS.search(failed.error), failed.error
    assert failed.stderr == "", "it is told once"
    if way not in ("abort", "exit"):
        assert plain.run('println!("sum {}", kept.iter().sum::<i32>());').text() == "sum 42"
    assert plain.run("println!();").text() == ""


def test_the_backtrace_is_the_users_part(plain):
    plain.run("#[inline(never)]\nfn deep(n: usize) -> usize { if n == 0 { panic!(\"deep\") } else { deep(n - 1) + 1 } }").text()
    failed = plain.run("deep(1 + std::env::args().count() - 1)")
    lines = plain_text(failed.error).splitlines()
    assert lines[0] == "Panic: deep"
    assert "  in deep" in lines and not INTERNALS.search(failed.error), failed.error


def test_a_killed_process(plain):
    """As the system does when memory runs out."""
    failed = plain.run(f"let victim = std::process::id();\nstd::process::Command::new(\"kill\").args([\"-KILL\", &victim.to_string()]).status()?;\nloop {{}}")
    assert (failed.status, failed.name) == ("error", "ProcessEnded")
    assert "memory ran out" in failed.value
    assert plain.run('println!("{}", 6 * 7);').text() == "42"


def test_words_on_stderr_are_no_failure(plain):
    shown = plain.run('eprintln!("thread 7: error, panicked, EVCXR_PANIC_NOTIFICATION"); println!("fine");')
    assert (shown.status, shown.stdout) == ("ok", "fine\n")
    assert shown.stderr == "thread 7: error, panicked, EVCXR_PANIC_NOTIFICATION\n"


def test_with_an_evcxr_that_takes_no_marks_words_on_stderr_are_a_failure():
    """A false failure is better than a false success."""
    cell = Cell("", {})
    assert failures.of(cell, "", marked=False) is None
    cell.words.append("thread '<unnamed>' panicked at src/lib.rs:1:1:\n")
    assert "panicked" in failures.of(cell, "", marked=False)["evalue"]
    assert failures.of(cell, "") is None


def test_the_backtrace_in_an_errors_text_is_cut():
    """candle's errors print theirs, when evcxr asks for backtraces."""
    text = "wrong shape\n   0: <unknown>\n   1: ctx::mine\n   2: evcxr::runtime::Runtime::run_loop\n"
    cell = Cell("", {}, raised={"line": 0, "name": "candle_core::error::Error", "text": text.encode().hex()})
    failed = failures.of(cell, "")
    assert (failed["ename"], failed["evalue"]) == ("Error", "wrong shape")
    assert failed["traceback"][1:] == ["  in mine"]


def test_a_slow_backtrace_stays_part_of_its_panic(monkeypatch):
    """Looking up its names may take a busy machine seconds. Once it is whole, a panic that ends no cell was caught."""
    clock = itertools.count(100, 5)
    monkeypatch.setattr(listener.time, "monotonic", lambda: float(next(clock)))
    shown = []
    connection = {"key": b"key", "transport": "tcp", "ip": "127.0.0.1", "iopub_port": 9}
    listens = listener.Listener(connection, "", lambda kind, content, parent: shown.append(content), None)
    cell = Cell("", {})
    listens.begin(cell)
    for line in ("\n", "thread 'main' panicked at src/lib.rs:1:1:\n", "why\n", "stack backtrace:\n", "   0: deep\n"):
        listens.take_error_line(cell, line)
        listens.rest()
    assert not shown and "why\n" in cell.panic
    listens.take_error_line(cell, "note: Some details are omitted, run with `RUST_BACKTRACE=full`\n")
    listens.rest()
    listens.flush()
    assert "why" in shown[0]["text"]


def test_words_that_evcxr_prints_are_no_failure(plain):
    shown = plain.run('let word = "EVCXR_ERROR"; println!("{word}_OCCURRED");')
    assert (shown.status, shown.name) == ("ok", "")


def test_a_panic_that_was_caught_is_no_failure(plain):
    shown = plain.run('let caught = std::panic::catch_unwind(|| panic!("caught")).is_err(); println!("{caught}");')
    assert (shown.status, shown.stdout) == ("ok", "true\n")
    assert "caught" in shown.stderr
    shown = plain.run('std::thread::spawn(|| panic!("elsewhere")).join().is_err()')
    assert (shown.status, shown.data["text/plain"]) == ("ok", "true")
    assert "elsewhere" in shown.stderr


def test_a_failed_cell_does_not_colour_the_next(plain):
    """A lot on stderr at the very end; it comes by another way than stdout and the word that the cell has ended."""
    for _ in range(3):
        failed = plain.run('for n in 0..2000 { eprintln!("line {n}"); }\n"x".parse::<i32>()?;')
        assert failed.status == "error" and failed.stderr.endswith("line 1999\n")
        assert failed.stderr.count("\n") == 2000
        fine = plain.run("println!(\"fine\");")
        assert fine.text() == "fine"


def notebook(folder, failing: str, tags=()):
    """A notebook of prose, a good cell, `failing`, and another good cell."""
    cells = [nbformat.v4.new_markdown_cell("# Fails on purpose"), nbformat.v4.new_code_cell("let kept = vec![41, 1];")]
    cells += [nbformat.v4.new_code_cell(failing, metadata={"tags": list(tags)})]
    cells += [nbformat.v4.new_code_cell('println!("sum {}", kept.iter().sum::<i32>());')]
    return write(folder / "fails.ipynb", cells)


def write(path, cells):
    kernel = {"kernelspec": {"name": "rust", "display_name": "Rust", "language": "rust"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), path)
    return path


def convert(path, *arguments) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "--output", "done.ipynb"]
    return subprocess.run([*command, *arguments, str(path)], capture_output=True, text=True, timeout=600)


def test_nbconvert_stops_and_names_the_cell(tmp_path):
    done = convert(notebook(tmp_path, 'panic!("deliberate");'))
    assert done.returncode != 0
    said = plain_text(done.stderr)
    assert 'panic!("deliberate");' in said and "Panic: deliberate" in said
    assert "sum 42" not in done.stderr and not (tmp_path / "done.ipynb").exists()


@pytest.mark.parametrize("how", [{"tags": ["raises-exception"]}, {"arguments": ["--allow-errors"]}])
def test_a_failure_that_is_asked_for_is_none(how, tmp_path):
    done = convert(notebook(tmp_path, 'panic!("deliberate");', how.get("tags", ())), *how.get("arguments", ()))
    assert done.returncode == 0, done.stderr
    cells = nbformat.read(tmp_path / "done.ipynb", 4).cells
    assert [output.ename for output in cells[2].outputs] == ["Panic"]
    assert [output.text for output in cells[3].outputs] == ["sum 42\n"], "a panic keeps the variables"


PARAMETERS = """\
let epochs: usize = 20;
let rate = 0.5f32;
let name = String::from("dense");
let sizes = vec![1u8];
let seed: Option<u64> = Some(1);
const BATCH: usize = 64;     // images a step
const LOSS: &str = "hinge";"""
ALL = """let all: (usize, f32, String, Vec<u8>, Option<u64>) = (epochs, rate, name, sizes, seed);
println!("{all:?} {BATCH} {LOSS}");"""


def test_papermill_sets_parameters_of_the_cells_types_and_stops_where_a_cell_fails(tmp_path):
    papermill = pytest.importorskip("papermill")
    codes = (PARAMETERS, ALL, 'panic!("deliberate");', 'println!("never");')
    cells = list(map(nbformat.v4.new_code_cell, codes))
    cells[0].metadata.tags = ["parameters"]
    given = {"epochs": 3, "rate": 1e-4, "name": 'a "lean"\\ one\né', "sizes": [7, 8], "seed": None}
    given |= {"BATCH": 32, "LOSS": "least \"squares\""}
    path = write(tmp_path / "asks.ipynb", cells)
    with pytest.raises(papermill.PapermillExecutionError, match="deliberate"):
        papermill.execute_notebook(path, tmp_path / "done.ipynb", given, progress_bar=False)
    done = nbformat.read(tmp_path / "done.ipynb", 4).cells
    shown, failed, last = [cell for cell in done if cell.cell_type == "code"][-3:]  # papermill marks the failure in prose
    assert shown.outputs[0].text == '(3, 0.0001, "a \\"lean\\"\\\\ one\\né", [7, 8], None) 32 least "squares"\n'
    assert failed.outputs[0].ename == "Panic"
    assert last.execution_count is None


def test_papermill_lists_the_parameters_with_type_default_and_help(tmp_path):
    inspection = pytest.importorskip("papermill.inspection")
    cell = nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})
    found = inspection.inspect_notebook(write(tmp_path / "asks.ipynb", [cell]))
    assert list(found) == ["epochs", "rate", "name", "sizes", "seed", "BATCH", "LOSS"]
    assert found["BATCH"] == {"name": "BATCH", "inferred_type_name": "usize", "default": "64", "help": "images a step"}
    assert found["rate"]["default"] == "0.5f32"


def test_a_parameter_that_the_notebook_lacks_is_a_compile_error(plain):
    parameters = pytest.importorskip("digit_gan_kernel.parameters")
    plain.run("let epochs: usize = 20;").text()
    failed = plain.run(parameters.RustTranslator.codify({"epoch": 3}))
    assert (failed.status, failed.name) == ("error", "CompileError")
    assert "epoch" in failed.value


def test_evcxr_itself_killed(tmp_path):
    """The kernel tells it, and starts another one."""
    with Kernel(tmp_path) as kernel:
        kernel.run("let lost = 1;").text()
        client, evcxr = kernel.client, kernel.evcxr

        def kill(message):
            if message["msg_type"] == "stream":
                os.kill(evcxr.pid, signal.SIGKILL)

        failed = kernel.run('println!("now"); loop { std::thread::sleep(std::time::Duration::from_millis(10)); }', hook=kill)
        assert (failed.status, failed.name) == ("error", "KernelEnded")
        assert kernel.run('println!("{}", 6 * 7);').text() == "42"
        assert client is kernel.client
