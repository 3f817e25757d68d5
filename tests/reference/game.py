"""Prints the tables of tests/rust/game.rs: cross-entropy, and the losses of GANs with their gradients for the logits.

    python tests/reference/game.py    (needs torch)

All is computed in f64 and printed as f32.
"""

import numpy as np
import torch
from torch.nn.functional import relu, softplus

REAL, FAKE = (0.0, 3.0, -2.5, 200.0), (0.0, -1.0, 4.0, -300.0)


def cross_entropy(logits: torch.Tensor, target: float) -> torch.Tensor:
    return (softplus(logits) - target * logits).mean()


def half_square(logits: torch.Tensor, target: float) -> torch.Tensor:
    return (logits - target).square().mean() / 2


def losses(real: torch.Tensor, fake: torch.Tensor) -> dict:
    """By name: the target of the real batch, the discriminator's loss, the generator's loss."""
    return {
        "NonSaturating": (0.9, cross_entropy(real, 0.9) + cross_entropy(fake, 0.0), cross_entropy(fake, 1.0)),
        "Minimax": (1.0, cross_entropy(real, 1.0) + cross_entropy(fake, 0.0), -cross_entropy(fake, 0.0)),
        "LeastSquares": (0.9, half_square(real, 0.9) + half_square(fake, 0.0), half_square(fake, 1.0)),
        "Hinge": (1.0, relu(1 - real).mean() + relu(1 + fake).mean(), -fake.mean()),
        "Wasserstein": (1.0, fake.mean() - real.mean(), -fake.mean()),
        "Relativistic": (1.0, softplus(fake - real).mean(), softplus(real.detach() - fake).mean()),
    }


def f32(values) -> str:
    return ", ".join(map(str, np.atleast_1d(values).astype(np.float32) + np.float32(0)))  # -0 becomes 0


def main() -> None:
    torch.set_default_dtype(torch.float64)
    print(f"// PyTorch {torch.__version__.split('+')[0]}, f64")
    print("const CROSS_ENTROPY: [(f32, f64, f32); 4] = [")
    for logit, target in ((0.0, 1.0), (3.0, 1.0), (-3.0, 1.0), (2.5, 0.9)):
        print(f"    ({logit}, {target}, {f32(cross_entropy(torch.tensor([logit]), target).item())}),")
    print("];")
    real, fake = (torch.tensor(values, requires_grad=True) for values in (REAL, FAKE))
    print("const LITERALS: [Literals; 6] = [")
    for name, (target, d_loss, g_loss) in losses(real, fake).items():
        print(f"    (GanLoss::{name}, {target}, {f32(d_loss.item())}, {f32(g_loss.item())}, [")
        for loss, logits in ((d_loss, real), (d_loss, fake), (g_loss, fake)):
            (gradient,) = torch.autograd.grad(loss, logits, retain_graph=True)
            print(f"        [{f32(gradient.numpy())}],")
        print("    ]),")
    print("];")


if __name__ == "__main__":
    main()
