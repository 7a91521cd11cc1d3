"""Cross entropy with smoothed labels: PyTorch's, and one written from the paper's formula."""

import torch


def inputs(seed):
    """Return one input for each seed."""
    generator = torch.Generator().manual_seed(seed)
    return {"logits": 3 * torch.randn(8, 5, generator=generator), "target": torch.randint(5, (8,), generator=generator)}


def paper(logits, target):
    return torch.nn.functional.cross_entropy(logits, target, label_smoothing=0.1)


def mine(logits, target):
    log_p = logits.log_softmax(dim=1)
    hard = -log_p.gather(1, target[:, None]).mean()
    smooth = -log_p.sum(dim=1).mean()
    return 0.9 * hard + 0.1 * smooth
