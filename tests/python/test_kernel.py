"""What the kernel promises every cell: one candle, release speed, locked versions, variables that outlive a panic."""

import re
import tomllib

from rust_kernel import ROOT


def test_all_cells_share_one_candle(kernel):
    """A copy of candle per cell would count tensor ids from 1 again, and gradients, which are keyed by id, would be
    mixed up without any error."""
    first = kernel.run(
        "let w = Var::from_tensor(&Tensor::ones(3, DType::F32, &Device::Cpu)?)?;\n"
        "let v = Var::from_tensor(&Tensor::ones(3, DType::F32, &Device::Cpu)?)?;\n"
        'println!("{:?} {:?}", w.id(), v.id());'
    ).text()
    second = kernel.run(
        "let one = Tensor::ones(3, DType::F32, &Device::Cpu)?;\n"
        "let a = (v.as_tensor() * v.as_tensor())?;\n"
        "let y = (&a + w.as_tensor())?.sum_all()?;\n"
        "let gradients = y.backward()?;\n"
        'println!("{:?} {:?} {:?}", one.id(), a.id(), y.id());\n'
        'println!("{:?}", gradients.get(v.as_tensor()).map(|g| g.to_vec1::<f32>().unwrap()));\n'
        'println!("{:?}", gradients.get(w.as_tensor()).map(|g| g.to_vec1::<f32>().unwrap()));'
    ).text()
    ids, dv, dw = second.splitlines()
    numbers = [int(number) for number in re.findall(r"\d+", first + ids)]
    assert numbers == sorted(set(numbers)), "tensor ids repeat"
    assert dv == "Some([2.0, 2.0, 2.0])"
    assert dw == "Some([1.0, 1.0, 1.0])"


def test_types_are_inferred(kernel):
    """evcxr needs a variable's type to keep it, and asks rust-analyzer, which must see into the crate."""
    kernel.run("let pair = (Tensor::zeros((2, 3), DType::F32, &Device::Cpu)?, Rng::seed(1));").text()
    assert kernel.run('println!("{:?}", pair.0.dims());').text() == "[2, 3]"


def test_the_crates_own_methods_complete_and_show_their_documentation(kernel):
    kernel.run("let layers = Sequential::new(\"generator\", [100]);").text()
    code = "let wider = layers.den"
    assert "dense" in " ".join(kernel.ask("complete_request", code=code, cursor_pos=len(code))["matches"])
    code = "layers.dense(256)"
    shown = kernel.ask("inspect_request", code=code, cursor_pos=len("layers.dens"), detail_level=0)
    assert "pub fn dense(" in shown["data"]["text/plain"], shown
    assert "fully connected" in shown["data"]["text/plain"].lower(), shown


def test_cells_are_compiled_as_a_release_build_is(kernel):
    assert kernel.run('println!("{}", cfg!(debug_assertions));').text() == "false"
    kernel.run("let mut most: u8 = std::env::args().count() as u8 + 254;").text()
    assert kernel.run('most += 1; println!("{most}");').text() == "0", "overflow is checked"
    flags = (kernel.workspace / "Cargo.toml").read_text()
    assert "opt-level = 3" in flags


def test_versions_are_those_of_the_lock_file(kernel):
    locked = {(p["name"], p["version"]) for p in packages(ROOT / "Cargo.lock")}
    loaded = {(p["name"], p["version"]) for p in packages(kernel.workspace / "Cargo.lock")}
    assert "candle-core" in {name for name, _ in loaded}
    assert loaded - locked == {("ctx", "1.0.0"), ("pin", "1.0.0")}


def packages(lock_file):
    return tomllib.loads(lock_file.read_text())["package"]


def test_a_panic_keeps_the_variables(kernel):
    kernel.run("let kept = vec![40, 2];").text()
    assert kernel.run('panic!("deliberate");').value == "deliberate"
    assert kernel.run('println!("{}", kept.iter().sum::<i32>());').text() == "42"
