"""Random modules full of legacy exception handling, in text form."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

FUNCTIONS = 3
MAX_DEPTH = 6
STEPS = 60

HEAD = f"""
(module
  (import "env" "note" (func $note (param i32)))
  (tag $a (param i32))
  (tag $b)
  (tag $c (param i64 f32))
  (global $steps (mut i32) (i32.const 0))
  (func $step (result i32)
    (global.set $steps (i32.sub (global.get $steps) (i32.const 1)))
    (i32.gt_s (global.get $steps) (i32.const 0)))
  (func (export "run") (param i32) (result i32)
    (global.set $steps (i32.const {STEPS}))
    (call $f{FUNCTIONS - 1} (local.get 0)))
"""

CATCHES = {
    "$a": "local.set $x",
    "$b": "",
    "$c": "i32.trunc_sat_f32_s local.set $y i32.wrap_i64 local.set $x",
}


def write_program(seed: int) -> str:
    """A module with `run: (i32) -> i32`; equal seeds give equal modules."""
    random = Random(seed)
    functions = (_Function(random, number).write() for number in range(FUNCTIONS))
    return HEAD + "\n".join(functions) + ")"


@dataclass
class _Label:
    """One enclosing block; `values` is how many i32 a branch to it takes."""

    kind: str
    values: int = 0


@dataclass
class _Function:
    random: Random
    number: int
    labels: list[_Label] = field(default_factory=list)
    size: int = 60

    def write(self) -> str:
        body = self.statements(0)
        return (
            f"(func $f{self.number} (param $p i32) (result i32) (local $x i32) (local $y i32)\n"
            f"{body}\n{self.expression()})"
        )

    def statements(self, depth: int) -> str:
        count = self.random.randint(1, 4)
        return "\n".join(self.statement(depth) for _ in range(count))

    def statement(self, depth: int) -> str:
        self.size -= 1
        plain = ["note", "set", "throw", "call", "branch", "table", "rethrow", "rethrow"]
        nested = ["if", "block", "loop", "try", "try", "try", "value", "parameters", "delegate"]
        deep = depth >= MAX_DEPTH or self.size <= 0
        kinds = plain if deep else plain + nested + nested
        return str(getattr(self, "write_" + self.random.choice(kinds))(depth + 1))

    # Expressions leave one i32.

    def expression(self) -> str:
        choices = [
            f"i32.const {self.random.randint(-3, 9)}",
            "local.get $p",
            "local.get $x",
            "local.get $x local.get $y i32.add",
            "local.get $p i32.const 1 i32.and",
            "local.get $x i32.const 3 i32.rem_u",
            "local.get $p i32.const 5 local.get $y i32.xor i32.sub",
        ]
        return self.random.choice(choices)

    def condition(self) -> str:
        value = self.random.randint(0, 3)
        return f"{self.expression()} i32.const 3 i32.and i32.const {value} i32.eq"

    # Plain statements.

    def write_note(self, _depth: int) -> str:
        return f"{self.expression()} call $note"

    def write_set(self, _depth: int) -> str:
        return f"{self.expression()} local.set {self.random.choice(['$x', '$y'])}"

    def write_throw(self, _depth: int) -> str:
        thrown = self.random.choice(
            [
                f"{self.expression()} throw $a",
                "throw $b",
                f"{self.expression()} i64.extend_i32_s f32.const 2.5 throw $c",
                "unreachable" if self.random.random() < 0.1 else "throw $b",
            ]
        )
        return f"{self.condition()} if {thrown} end"

    def write_call(self, _depth: int) -> str:
        if not self.number:
            return self.write_note(0)
        callee = self.random.randrange(self.number)
        return f"{self.expression()} call $f{callee} local.set $y"

    def write_branch(self, _depth: int) -> str:
        """A guarded branch to any label, with as many values as it wants."""
        target = self.random.randint(0, len(self.labels))
        values = self.labels[-1 - target].values if target < len(self.labels) else 1
        given = " ".join([self.expression()] * values)
        if self.random.random() < 0.3:
            return f"{given} {self.condition()} br_if {target} {'drop ' * values}"
        return f"{self.condition()} if {given} br {target + 1} end"

    def write_table(self, _depth: int) -> str:
        plain = [at for at, label in enumerate(reversed(self.labels)) if not label.values]
        if not plain:
            return self.write_note(0)
        targets = [self.random.choice(plain) + 1 for _ in range(self.random.randint(1, 4))]
        labels = " ".join(map(str, targets))
        return f"{self.condition()} if {self.expression()} br_table {labels} end"

    def write_rethrow(self, _depth: int) -> str:
        handlers = [at for at, label in enumerate(reversed(self.labels)) if label.kind == "handler"]
        if not handlers:
            return self.write_throw(0)
        return f"{self.condition()} if rethrow {self.random.choice(handlers) + 1} end"

    # Nested statements.

    def inside(self, label: _Label, depth: int) -> str:
        self.labels.append(label)
        text = self.statements(depth)
        self.labels.pop()
        return text

    def write_if(self, depth: int) -> str:
        then = self.inside(_Label("if"), depth)
        other = f"else {self.inside(_Label('if'), depth)}" if self.random.random() < 0.5 else ""
        return f"{self.condition()} if {then} {other} end"

    def write_block(self, depth: int) -> str:
        return f"block {self.inside(_Label('block'), depth)} end"

    def write_loop(self, depth: int) -> str:
        """Every round takes a step, so that no branch back goes on for ever."""
        body = self.inside(_Label("loop"), depth)
        again = f"{self.condition()} br_if 0"
        return f"loop call $step i32.eqz if i32.const -7 return end {body} {again} end"

    def write_try(self, depth: int) -> str:
        body = self.inside(_Label("try"), depth)
        return f"try {body} {self.handlers(depth, 0)} end"

    def write_value(self, depth: int) -> str:
        body = self.inside(_Label("try", 1), depth)
        return (
            f"try (result i32) {body} {self.expression()} {self.handlers(depth, 1)} end"
            " local.set $x"
        )

    def write_parameters(self, depth: int) -> str:
        body = self.inside(_Label("try", 1), depth)
        return (
            f"{self.expression()} {self.expression()} try (param i32 i32) (result i32)"
            f" i32.sub local.set $y {body} local.get $y {self.handlers(depth, 1)} end local.set $x"
        )

    def write_delegate(self, depth: int) -> str:
        values = self.random.randint(0, 1)
        result = "(result i32)" if values else ""
        body = self.inside(_Label("try", values), depth)
        target = self.random.randint(0, len(self.labels))
        if values:
            return f"try {result} {body} {self.expression()} delegate {target} local.set $y"
        return f"try {body} delegate {target}"

    def handlers(self, depth: int, values: int) -> str:
        """Any choice of handlers, none among them; each leaves `values` numbers."""
        tags = self.random.sample(sorted(CATCHES), self.random.randint(0, 3))
        parts = [(f"catch {tag}", CATCHES[tag]) for tag in tags]
        if self.random.random() < 0.4:
            parts.append(("catch_all", ""))
        return " ".join(
            f"{opening} {taken} {self.inside(_Label('handler', values), depth)}"
            f" {self.expression() if values else ''}"
            for opening, taken in parts
        )
