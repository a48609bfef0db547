"""Nested plain values with tensors, as JSON beside named tensors, and back."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor

TAG = "$"  # marks what JSON has no word for: tensors, tuples, dicts with other keys, floats that are not finite


def pack(value: Any) -> tuple[Any, dict[str, Tensor]]:
    """JSON content and the tensors it names.

    Raises:
        TypeError: something is neither a dense tensor nor a None, bool, int, float, str, list, tuple or dict of
            exactly that type; the message says where it is.
    """
    tensors: dict[str, Tensor] = {}
    storages: set[int] = set()

    def tensor(item: Tensor, where: str) -> dict[str, str]:
        if item.layout != torch.strided or item.is_quantized:
            raise TypeError(f"{where}: a {item.layout} tensor cannot be stored")
        item = item.detach().cpu().contiguous()
        storage = item.untyped_storage()
        # safetensors refuses tensors that share memory, and a view would drag its whole storage along
        if storage.data_ptr() in storages or storage.nbytes() != item.numel() * item.element_size():
            item = item.clone()
        storages.add(item.untyped_storage().data_ptr())
        name = str(len(tensors))
        tensors[name] = item
        return {TAG: "tensor", "name": name}

    def walk(item: Any, where: str) -> Any:
        kind = type(item)
        if item is None or kind in (bool, int, str):
            return item
        if kind is float:
            return item if math.isfinite(item) else {TAG: "float", "value": repr(item)}
        if isinstance(item, Tensor):
            return tensor(item, where)
        if kind in (list, tuple):
            items = [walk(part, f"{where}[{index}]") for index, part in enumerate(item)]
            return items if kind is list else {TAG: "tuple", "items": items}
        if kind in (dict, OrderedDict):
            if all(type(key) is str for key in item) and TAG not in item:
                return {key: walk(part, f"{where}.{key}") for key, part in item.items()}
            pairs = [[walk(key, f"{where} key"), walk(part, f"{where}[{key!r}]")] for key, part in item.items()]
            return {TAG: "dict", "items": pairs}
        raise TypeError(f"{where}: a {kind.__module__}.{kind.__qualname__} cannot be stored; use plain values")

    return walk(value, "checkpoint"), tensors


def unpack(content: Any, tensors: dict[str, Tensor]) -> Any:
    """The value that `pack` was given; an OrderedDict comes back as a dict."""
    if isinstance(content, list):
        return [unpack(part, tensors) for part in content]
    if not isinstance(content, dict):
        return content
    tag = content.get(TAG)
    if tag is None:
        return {key: unpack(part, tensors) for key, part in content.items()}
    if tag == "tensor":
        return tensors[content["name"]]
    if tag == "float":
        return float(content["value"])
    items = [unpack(part, tensors) for part in content["items"]]
    return tuple(items) if tag == "tuple" else dict(items)
