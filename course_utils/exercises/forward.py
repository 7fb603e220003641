"""Exercises in which the learner writes the `forward` of a model whose __init__ is given."""

from __future__ import annotations

from typing import Any

import torch

from course_utils.exercises.observe import Refused
from course_utils.exercises.plain import Plain
from course_utils.exercises.verdicts import CUT_OFF, Complaint, compare


def run_forward(cls: type, sizes: dict[str, Any], weights: dict[str, Any], *inputs: Any) -> tuple:
    """The output of cls(**sizes) with these weights, and which of them, in order, its gradient reaches."""
    model = cls(**sizes)
    state = {name: torch.as_tensor(array, dtype=torch.float32) for name, array in weights.items()}
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    if shapes != {name: tuple(tensor.shape) for name, tensor in state.items()}:
        raise Refused(
            f"got a model with the weights {', '.join(shapes) or '(none)'}, expected those of the given "
            f"__init__, unchanged ({', '.join(weights)})"
        )
    model.load_state_dict(state)
    output = model(*inputs)
    if isinstance(output, torch.Tensor) and output.requires_grad:
        output.sum().backward()
    gradients = (model.get_parameter(name).grad for name in weights)
    return output, [gradient is not None and bool(gradient.any()) for gradient in gradients]


def check_forward(args: dict[str, Any], got: Plain, expected: Plain) -> Complaint | None:
    """A tensor with the values of the reference, whose gradient reaches the same weights."""
    (output, reached), (wanted, to_reach) = got.parts, expected.parts
    if output.array is not None and output.what != "tensor":
        kind = {"array": "a numpy array"}.get(output.what, f"a {output.what}")
        return Complaint(
            f"got {kind}", "a tensor", "Which step leaves torch, and can the gradient follow it?"
        )
    if problem := compare(output, wanted, (), 1e-4, 1e-5):
        return problem
    cut = to_reach.array & ~reached.array
    if cut.any():
        names = [name for name, is_cut in zip(args["weights"], cut, strict=True) if is_cut]
        which = "any weight" if not reached.array.any() else ", ".join(names)
        return Complaint(
            f"got the right values, but no gradient reaches {which}", "one for every weight", CUT_OFF
        )
    return None
