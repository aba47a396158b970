"""A second device on a machine that has none: tensors on `meta` that hold their values, and mix with no others.

What a GPU refuses is refused here too: an operation on tensors of both devices, but for those without a dimension,
and NumPy of what is not on the CPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

aten = torch.ops.aten
_MAY_MIX = {aten._to_copy.default, aten.copy_.default}
_TAKE_INDICES = {aten.index.Tensor, aten.index_put_.default, aten.index_put.default, aten._index_put_impl_.default}


class There(Tensor):
    """A tensor on the second device."""

    held: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held: Tensor) -> There:
        made = Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device="meta",
        )
        made.held = held
        return made  # type: ignore[no-any-return]

    def tolist(self) -> Any:
        return self.held.tolist()

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(func, args, kwargs or {})


class _Mode(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(func, args, kwargs or {})


def _computed(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    asked = kwargs.get("device")
    every = [each for each in tree_flatten((args, kwargs))[0] if isinstance(each, Tensor)]
    there = any(isinstance(each, There) for each in every)
    if func in _TAKE_INDICES:
        every = every[:1]
    if there and func not in _MAY_MIX and any(not isinstance(each, There) and each.dim() for each in every):
        raise RuntimeError(f"{func}: expected all tensors to be on the same device, found two")
    plain_args, plain = tree_map(lambda each: each.held if isinstance(each, There) else each, (args, kwargs))
    if asked is not None:
        there = torch.device(asked).type == "meta"
        plain["device"] = torch.device("cpu")
        plain.pop("pin_memory", None)
    elif func is aten.copy_.default:
        there = isinstance(args[0], There)
    made = func(*plain_args, **plain)
    if func._schema.is_mutable and isinstance(made, Tensor):
        return args[0]
    return tree_map(lambda each: There(each) if isinstance(each, Tensor) and there else each, made)


@contextmanager
def second_device(patch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    """Give `meta` values inside of the block; it has no autocast, and what is made of numbers is moved there."""
    autocast, tensor = torch.autocast, torch.tensor

    def cast(kind: str, *args: Any, **kwargs: Any) -> Any:
        return nullcontext() if kind == "meta" else autocast(kind, *args, **kwargs)

    def of_numbers(data: Any, *, device: Any = None, **kwargs: Any) -> Tensor:
        return tensor(data, **kwargs).to(device or "cpu")

    def like(own: Tensor, data: Any, **kwargs: Any) -> Tensor:
        return of_numbers(data, **{"dtype": own.dtype, "device": own.device, **kwargs})

    def as_tensor(data: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
        made = data if isinstance(data, Tensor) else tensor(data)
        return made.to(device=device or made.device, dtype=dtype or made.dtype)

    with patch.context() as within:
        within.setattr(torch, "autocast", cast)
        within.setattr(torch, "tensor", of_numbers)
        within.setattr(torch, "as_tensor", as_tensor)
        within.setattr(Tensor, "new_tensor", like)
        with _Mode():
            yield torch.device("meta")
