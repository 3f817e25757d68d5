"""Prints the literals of tests/rust/optim.rs: the rates of PyTorch's cosine schedule.

    python tests/reference/optim.py    (needs torch)
"""

import torch
from torch.optim.lr_scheduler import CosineAnnealingLR

optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
schedule = CosineAnnealingLR(optimizer, T_max=4, eta_min=0.2)
rates = [1.0]
for _ in range(4):
    optimizer.step()
    schedule.step()
    rates.append(schedule.get_last_lr()[0])
print("// After 0, 1, 2 and 4 of 4 steps.")
print(f"const COSINE: [f64; 4] = [{', '.join(str(round(rates[step], 9)) for step in (0, 1, 2, 4))}];")
