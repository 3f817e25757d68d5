"""Prints the numbers of tests/rust/table.rs: what the PyTorch column of notebooks/from_keras_and_pytorch.md computes.

    python tests/reference/table.py    (needs torch; with keras as well, its column has to compute the same)

Every line of both columns is run, but for those that download. All is computed in f64.
"""

import contextlib
import importlib.util
import math
import os
import re
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn, optim
from torch.optim import swa_utils
from torch.utils.data import DataLoader

PAGE = Path(__file__).resolve().parents[2] / "notebooks" / "from_keras_and_pytorch.md"
DOWNLOADS = {"MNIST"}
RANDOM = {"normal noise", "uniform numbers"}  # their shapes are compared
OTHER_ORDER = {"an image in one row", "a row as images"}  # Keras's images end in their channels
OTHER_VARIANCE = {"batch normalisation", "the same on images"}  # Keras's running one is the batch's own
OTHER_INPUT = {"pixels from -1 to 1"}  # tests/rust/table.rs looks at digits
IMAGES, ROW = (64, 7, 7), (256,)


def lines() -> list[list[str]]:
    """What a line of a table is about, and its three other columns."""
    rows = [line.strip("|").split("|") for line in PAGE.read_text().splitlines() if line.startswith("|")]
    return [cells for row in rows if (cells := [cell.strip() for cell in row])[0].strip("-")]


def code(cell: str) -> str:
    return "".join(re.findall(r"`([^`]+)`", cell))


def wave(shape: tuple, salt: float, scale: float = 1.0) -> torch.Tensor:
    """scale * sin(0.37 i² + 2.1 i + salt), rounded to f32: no two rows are alike."""
    i = np.arange(math.prod(shape))
    values = scale * np.sin(0.37 * i * i + 2.1 * i + salt)
    return torch.from_numpy(values.astype(np.float32).astype(np.float64)).reshape(shape)


def filled(network: nn.Module) -> nn.Module:
    """With weights that Rust has too: those of a dense layer lie there as (inputs, outputs)."""
    for place, parameter in enumerate(network.parameters()):
        transposed = parameter.dim() == 2
        values = wave(tuple(parameter.shape[::-1]) if transposed else tuple(parameter.shape), place, 0.5)
        parameter.data = values.T if transposed else values
    return network


def numbers(value) -> list[float] | None:
    """A few numbers as they are; of many, the norm and the product with a wave; none for what is no number."""
    if isinstance(value, dict) and value and all(isinstance(part, torch.Tensor) for part in value.values()):
        value = torch.cat([part.flatten() for part in value.values()]).norm()
    names = isinstance(value, list) and isinstance(value[0], str)
    if names or not isinstance(value, (torch.Tensor, np.ndarray, float, int, torch.Size, list)):
        return None
    flat = torch.as_tensor(value).detach().to(torch.float64).flatten()
    return flat.tolist() if len(flat) <= 4 else [flat.norm().item(), torch.dot(flat, wave((len(flat),), 1.0)).item()]


def shape_for(layer: nn.Module) -> tuple:
    match layer:
        case nn.Linear():
            return (layer.in_features,)
        case nn.Sequential():
            return shape_for(layer[0])
        case nn.Conv2d():
            return (layer.in_channels, 28, 28)
        case nn.ConvTranspose2d():
            return (layer.in_channels, 7, 7)
        case nn.BatchNorm1d():
            return ROW
        case nn.Unflatten():
            return (math.prod(layer.unflattened_size),)
    return IMAGES


def of_layer(layer: nn.Module) -> list[float]:
    """What a layer gives in training, and then in evaluation. Dropout is random in the first."""
    filled(layer)
    x = wave((3, *shape_for(layer)), 0.5)
    passes = [layer.eval()(x)] if isinstance(layer, nn.Dropout) else [layer.train()(x), layer.eval()(x)]
    return [number for y in passes for number in numbers(y)]


def of_optimizer(adam: optim.Optimizer, w: torch.Tensor) -> list[float]:
    """Where three steps take the numbers that it moves."""
    for _ in range(3):
        adam.zero_grad()
        (w.square() + w * wave((3, 4), 2.0)).sum().backward()
        adam.step()
    return numbers(w)


def in_pytorch() -> dict:
    """What the lines speak of."""
    network = filled(nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5, momentum=0.2), nn.LeakyReLU(0.2)))
    critic = filled(nn.Sequential(nn.Linear(6, 5), nn.LeakyReLU(0.2), nn.Linear(5, 1)))
    generator = filled(nn.Sequential(nn.Linear(6, 6), nn.Tanh()))
    z = wave((8, 6), 3.0).requires_grad_()
    fake = generator(z)
    loss = F.softplus(-critic(fake)).mean()
    loss.backward(retain_graph=True)
    numbers = {"a": wave((3, 4), 0.0), "b": wave((3, 4), 1.0), "row": wave((1, 4), 2.0), "pixels": torch.arange(256.0)}
    numbers |= {"x": wave((8, 6), 3.0), "z": z, "labels": torch.arange(8), "fake": fake, "loss": loss}
    numbers |= {"w": wave((3, 4), 1.0).requires_grad_()}
    numbers |= {"on_real": wave((8, 1), 4.0, 3.0), "on_fake": wave((8, 1), 5.0, 3.0)}
    average = swa_utils.AveragedModel(generator, multi_avg_fn=swa_utils.get_ema_multi_avg_fn(0.999))
    networks = {"network": network, "critic": critic, "discriminator": critic, "generator": generator, "ema": average}
    adam = optim.Adam(generator.parameters(), 2e-4, betas=(0.5, 0.999))
    others = {"adam": adam, "dataset": list(range(130)), "cross_entropy": nn.BCEWithLogitsLoss()}
    modules = {"torch": torch, "nn": nn, "optim": optim, "F": F, "math": math, "swa_utils": swa_utils}
    return numbers | networks | others | modules | {"DataLoader": DataLoader}


def run(source: str, names: dict):
    """The value of an expression, or of statements what they leave behind in the generator."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return eval(source, names)
    except SyntaxError:
        exec(source, names)
        return dict(names["generator"].named_parameters()) if "adam.step()" in source else None


def computed(what: str, source: str) -> list[float] | None:
    """The numbers of a line of the PyTorch column; none if it has none."""
    names = in_pytorch()
    value = run(source, names)
    if what in RANDOM:
        return [float(size) for size in value.shape]
    if isinstance(value, optim.Optimizer):
        return of_optimizer(value, names["w"]) if value.param_groups[0]["params"][0] is names["w"] else None
    new = not any(value is known for known in names.values())
    if isinstance(value, nn.Module) and new and not isinstance(value, swa_utils.AveragedModel):
        return of_layer(value)
    return None if what in OTHER_INPUT else numbers(value)


def in_keras() -> dict:
    import keras
    from keras import layers, losses, ops, optimizers

    keras.config.set_floatx("float64")
    norm = layers.BatchNormalization(momentum=0.8, epsilon=1e-5)
    network = keras.Sequential([keras.Input((6,)), layers.Dense(5), norm, layers.LeakyReLU(0.2)])
    network.set_weights([wave((6, 5), 0, 0.5), *(wave((5,), i, 0.5) for i in (1, 2, 3)), np.zeros(5), np.ones(5)])
    shared = {name: value for name, value in in_pytorch().items() if isinstance(value, torch.Tensor)}
    modules = {"keras": keras, "layers": layers, "losses": losses, "ops": ops, "optimizers": optimizers}
    others = {"network": network, "discriminator": network, "adam": optimizers.Adam()}
    return shared | modules | others | {"cross_entropy": losses.BinaryCrossentropy(from_logits=True)}


def of_keras_layer(keras_layer, layer: nn.Module) -> list[float]:
    """The same input, channels last, and the same weights."""
    filled(layer)
    x = wave((3, *shape_for(layer)), 0.5)
    last = lambda t: t.permute(0, 2, 3, 1) if t.dim() == 4 else t  # noqa: E731
    first = lambda t: t.permute(0, 3, 1, 2) if t.dim() == 4 else t  # noqa: E731
    keras_layer.build(tuple(last(x).shape))
    own = [p.detach() for p in layer.parameters()]
    own = [p.permute(2, 3, 1, 0) if p.dim() == 4 else p.T if p.dim() == 2 else p for p in own]
    keras_layer.set_weights([p.numpy() for p in own] + keras_layer.get_weights()[len(own) :])
    passes = [False] if isinstance(layer, nn.Dropout) else [True, False]
    outputs = [first(torch.as_tensor(keras_layer(last(x), training=training))) for training in passes]
    return [number for y in outputs for number in numbers(y)]


def check_keras(what: str, source: str, pytorch: str, expected: list[float] | None) -> None:
    names = in_keras()
    keras, value = names["keras"], run(source, names)
    if isinstance(value, keras.optimizers.Optimizer):
        if expected is None:
            return
        w = keras.Variable(wave((3, 4), 1.0))
        for _ in range(3):
            value.apply([2 * w.value + wave((3, 4), 2.0)], [w])
        value = w.value
    found = None
    if isinstance(value, keras.layers.Layer) and value is not names["network"]:
        if not isinstance(value, keras.Sequential):
            found = of_keras_layer(value, eval(pytorch, in_pytorch()))
    elif expected is not None:
        found = [float(size) for size in value.shape] if what in RANDOM else numbers(value)
    if found:
        pairs = list(zip(found, expected, strict=True))
        if what in OTHER_ORDER:
            pairs = pairs[::2]
        elif what in OTHER_VARIANCE:
            assert not math.isclose(*pairs[2], rel_tol=1e-5), f"{what}: Keras's running variance is PyTorch's"
            pairs = pairs[:2]
        close = all(math.isclose(a, b, rel_tol=1e-5, abs_tol=1e-7) for a, b in pairs)
        assert close, f"{what}: Keras computes {found}, PyTorch {expected}"


def check_default(what: str, cell: str, names: dict) -> bool:
    """Whether a cell quotes a value and the code that gives it; the two must agree."""
    if not (quoted := re.match(r"([\d.e-]+), `", cell)):
        return False
    value = eval(code(cell), names)
    assert math.isclose(float(quoted[1]), value, rel_tol=1e-6), f"{what}: {value}, not {quoted[1]}"
    return True


def check_claims(with_keras: bool) -> None:
    """What the page says besides its lines."""
    names = in_pytorch()
    names["adam"].step()
    try:
        names["loss"].backward()
    except RuntimeError as error:
        assert "modified by an inplace operation" in str(error)
    else:
        raise AssertionError("a backward pass after the step should be an error")
    largest = [p.abs().max().item() * math.sqrt(100) for p in nn.Linear(100, 256).parameters()]
    assert all(0.9 < value <= 1 for value in largest)
    norm = nn.BatchNorm1d(6).requires_grad_(False)
    norm(wave((8, 6), 0.5))
    assert norm.running_mean.any()
    assert len(DataLoader(names["dataset"], 64)) == 3
    if with_keras:
        layers, conv = in_keras()["layers"], lambda padding: nn.Conv2d(1, 64, 5, 2, padding=padding)
        dense, norm, x = layers.Dense(256), layers.BatchNormalization(), wave((8, 100), 0.5)
        dense.build((8, 100)), norm.build((8, 100))
        weight, bias = dense.get_weights()
        assert 0.9 < np.abs(weight).max() / math.sqrt(6 / 356) <= 1 and not bias.any()
        norm.trainable = False
        assert np.allclose(norm(x, training=True).detach(), norm(x).detach())
        uneven = nn.Sequential(nn.ZeroPad2d((1, 2, 1, 2)), filled(conv(0)))(wave((3, 1, 28, 28), 0.5))
        found = of_keras_layer(layers.Conv2D(64, 5, 2, padding="same"), conv(2))[:2]
        assert np.allclose(found, numbers(uneven), 1e-5) and not np.allclose(found, of_layer(conv(2))[:2], 1e-2)


def main() -> None:
    torch.set_default_dtype(torch.float64)
    with_keras = importlib.util.find_spec("keras") is not None
    if with_keras:
        os.environ["KERAS_BACKEND"] = "torch"
    else:
        print("keras is not installed: its column is not checked", file=sys.stderr)
    os.chdir(tempfile.mkdtemp())
    check_claims(with_keras)
    print("const EXPECTED: &[(&str, &[f64])] = &[")
    for what, keras, pytorch, _ in lines():
        if what in DOWNLOADS:
            continue
        expected = None
        if code(pytorch) and not check_default(what, pytorch, in_pytorch()):
            expected = computed(what, code(pytorch))
        if with_keras and code(keras) and not check_default(what, keras, in_keras()):
            check_keras(what, code(keras), code(pytorch), expected)
        if expected is not None:
            print(f'    ("{what}", &[{", ".join(f"{number:.9e}" for number in expected)}]),')
    print("];")


if __name__ == "__main__":
    main()
