"""Where a task evaluates, and in what precision: chosen on the worker, when the task runs."""

import itertools
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch

from ...errors import InputError, one_of

VARIABLE = "FACIES_XR_DEVICE"
"""Environment variable that names the device, where no argument does."""

PRECISIONS = {
    "float32": "class scores within 2e-5 of float64",
    "tf32": "class scores err by some 1e-3 on devices that have TF32",
    "bfloat16": "class scores err by some 1e-2",
}
"""Of the products, and what they do to the result."""

# -- devices ----------------------------------------------------------------------------------------------------


def check(name: str, source: str = "device") -> None:
    """Refuse what is no name of a device; whether the worker has it is seen on the worker.

    Raises
    ------
    InputError
    """
    if not re.fullmatch(r"cpu|mps|cuda(:\d+)?", name):
        raise InputError(f'{source}={name!r}: choose "cpu", "cuda", one card such as "cuda:1", or "mps".')


def choose(asked: "str | torch.device | None" = None, home: "str | torch.device" = "cpu") -> torch.device:
    """The device of a task: that of the argument, of FACIES_XR_DEVICE, a CUDA card if there is one, or the CPU.

    Parameters
    ----------
    asked : str or torch.device, optional
        "cpu", "cuda", "cuda:1", "mps".
    home : str or torch.device
        Where the network is; it stays there, if that is no CPU and nothing else is said.

    Returns
    -------
    torch.device
        Of "cuda" one card; several are shared among the threads that ask, in turn.

    Raises
    ------
    InputError
        If there is no such device here.
    """
    if isinstance(asked, torch.device):
        return asked
    source = "device" if asked else VARIABLE
    name = asked or os.environ.get(VARIABLE)
    if not name:
        if torch.device(home).type != "cpu":
            return torch.device(home)
        name = "cuda" if torch.cuda.is_available() else "cpu"
    check(name, source)
    kind, _, number = name.partition(":")
    if kind == "cuda":
        cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(number or 0) >= cards:
            raise InputError(f'{source}={name!r}: torch sees {cards} CUDA cards here; choose "cpu", or one of these.')
        return torch.device("cuda", int(number) if number else card(cards))
    if kind == "mps" and not torch.backends.mps.is_available():
        raise InputError(f'{source}={name!r}: this torch has no Metal device; choose "cpu".')
    return torch.device(kind)


_thread = threading.local()
_numbers = itertools.count()


def card(cards: int) -> int:
    """Which of so many cards this thread uses: always the same, the first thread the first."""
    if not hasattr(_thread, "number"):
        _thread.number = next(_numbers)
    return _thread.number % cards


def note(device: torch.device) -> None:
    """Say that this thread computed something on a device, to the :func:`noted` around it."""
    for found in _thread.__dict__.get("noted", ()):
        found.add(f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device))


@contextmanager
def noted() -> Iterator[set[str]]:
    """Names of the devices on which this thread evaluates within it.

    Two, where the CPU took what a card had no room for.
    """
    found: set[str] = set()
    around = _thread.__dict__.setdefault("noted", [])
    around.append(found)
    try:
        yield found
    finally:
        around.remove(found)


# -- work on a device -------------------------------------------------------------------------------------------


def arrived(array: np.ndarray, device: torch.device) -> Any:
    """The array where a device works on it: as it is for the CPU, else a tensor, by way of page-locked memory."""
    if device.type == "cpu":
        return array
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


@contextmanager
def queue(device: torch.device) -> Iterator[None]:
    """Within it a thread has a queue of its own on a card: its copies run beside another thread's products."""
    if device.type != "cuda":
        yield
        return
    streams = _thread.__dict__.setdefault("streams", {})
    with torch.cuda.device(device), torch.cuda.stream(streams.setdefault(device, torch.cuda.Stream(device))):
        yield


def settle(device: torch.device) -> None:
    """Wait until what this thread put on a card is there, before the queues of other threads use it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


# -- precision --------------------------------------------------------------------------------------------------

Switch = tuple[Callable[[], Any], Callable[[Any], None]]
"""How one of torch's global settings is read and set."""


def switches() -> list[tuple[Switch, dict[str, Any]]]:
    """Torch's settings that change products of float32, and what they are to be in each precision."""
    backends = torch.backends
    if hasattr(backends.cuda.matmul, "fp32_precision"):  # torch 2.9 and later
        values = {"float32": "ieee", "tf32": "tf32", "bfloat16": "ieee"}
        on_card = [(part, values) for part in (backends.cuda.matmul, backends.cudnn.conv)]
        on_cpu = [(part, dict.fromkeys(values, "ieee")) for part in (backends.mkldnn.matmul, backends.mkldnn.conv)]
        return [(_attribute(part, "fp32_precision"), wanted) for part, wanted in (*on_card, *on_cpu)]
    matmul = (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision)
    return [
        (matmul, {"float32": "highest", "tf32": "high", "bfloat16": "highest"}),
        (_attribute(backends.cudnn, "allow_tf32"), {"float32": False, "tf32": True, "bfloat16": False}),
    ]


def _attribute(owner: Any, name: str) -> Switch:
    return (lambda: getattr(owner, name)), (lambda value: setattr(owner, name, value))


def allows_tf32() -> bool:
    """Whether products may be TF32 now; kernels of our own ask, as torch's do."""
    (read, _), wanted = switches()[0]
    return read() == wanted["tf32"]


_gate = threading.Condition()
_inside = 0
_current = ""
_before: list[Any] = []


@contextmanager
def products(precision: str, kind: str) -> Iterator[None]:
    """Within it products have this precision, whatever torch's global settings are; they are restored after.

    The settings belong to the process: threads that ask for one precision share it, one that asks for another waits.

    Parameters
    ----------
    precision : str
        Of :data:`PRECISIONS`.
    kind : str
        Type of the device.

    Raises
    ------
    InputError
        If there is no such precision.
    """
    one_of("precision", precision, PRECISIONS)
    _enter(precision)
    try:
        with torch.autocast(kind, torch.bfloat16) if precision == "bfloat16" else nullcontext():
            yield
    finally:
        _leave()


def _enter(precision: str) -> None:
    global _inside, _current, _before
    with _gate:
        _gate.wait_for(lambda: _inside == 0 or _current == precision)
        if _inside == 0:
            _before = [read() for (read, _), _ in switches()]
            for (_, put), wanted in switches():
                put(wanted[precision])
            _current = precision
        _inside += 1


def _leave() -> None:
    global _inside
    with _gate:
        _inside -= 1
        if _inside == 0:
            for ((_, put), _), value in zip(switches(), _before, strict=True):
                put(value)
            _gate.notify_all()
