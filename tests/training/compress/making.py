"""How these tests make a student: a plan of few steps."""

from __future__ import annotations

from collections.abc import Callable

from lurcher.models.encoders.student import StudentConfig
from lurcher.training.alignment.make_student import Plan

Make = Callable[..., StudentConfig]

PLAN = Plan(layers=(0,), int8=False, epochs=2, queries_a_batch=8, checks=2)
