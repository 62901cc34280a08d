"""What fails is told once, tried again in a while, and told anew when it fails after all had been well."""

import errno
from random import Random

from numen.keep.trouble import FRUITLESS, Trouble
from simulated_kernel import SimulatedKernel, World


def fail(trouble: Trouble, what: str) -> None:
    with trouble.tolerance(what):
        raise OSError(errno.ENOSPC, "No space left on device")


def troubled() -> tuple[World, SimulatedKernel, Trouble]:
    world = World(Random(1), lambda order: (_ for _ in ()).throw(AssertionError(order)))
    kernel = SimulatedKernel(world)
    return world, kernel, Trouble(kernel)


def test_what_fails_again_and_again_is_told_once() -> None:
    world, kernel, trouble = troubled()
    for _ in range(10):
        fail(trouble, "write to the journal")
        world.now += FRUITLESS
        assert trouble.is_due()

    assert kernel.lines == ["cannot write to the journal: No space left on device"]


def test_it_is_told_anew_when_it_has_succeeded_meanwhile() -> None:
    _, kernel, trouble = troubled()
    fail(trouble, "write")
    with trouble.tolerance("write"):
        pass
    assert not trouble.has_failed("write")
    fail(trouble, "write")

    assert len(kernel.lines) == 2


def test_it_is_tried_again_once_and_not_before_its_time() -> None:
    world, _, trouble = troubled()
    assert not trouble.is_due()
    fail(trouble, "write")
    assert not trouble.is_due()

    world.now += FRUITLESS
    assert trouble.is_due()
    assert not trouble.is_due()


def test_what_never_comes_again_is_not_remembered_for_ever() -> None:
    world, _, trouble = troubled()
    for pid in range(1000):
        fail(trouble, f"send a signal to pid {pid}")
        world.now += FRUITLESS
        trouble.is_due()

    remembered = [pid for pid in range(1000) if trouble.has_failed(f"send a signal to pid {pid}")]
    assert remembered == [999]
