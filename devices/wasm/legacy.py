"""Rewriting legacy (phase-3) exception handling into try_table and exnref (spec/06 §7.2).

The engine runs only the final form. A `try` with handlers becomes

    block $o                                  the original label points here
      block $hn .. block $h1                  innermost: the first catch
        try_table (catch t1 $h1) .. (catch_all $hn)
          body                                in `block $d (result exnref) .. br $o end throw_ref`
        end  br $o                            when some delegate targets this try
      end  handler 1  br $o
    end .. handler n
    end

and `try .. delegate` a try_table whose catch_all_ref goes to the target's `$d`. Only functions
that contain a `try` are re-encoded; everything else is copied.
"""

from __future__ import annotations

from hyperbeam_trio.devices.wasm import binary
from hyperbeam_trio.devices.wasm import instructions as op
from hyperbeam_trio.devices.wasm.binary import MalformedImage, Reader, Section
from hyperbeam_trio.devices.wasm.instructions import Instruction, walk
from hyperbeam_trio.devices.wasm.layout import Layout

EMPTY, EXNREF = 0x40, 0x69
CLAUSE, CLAUSE_REF, CLAUSE_ALL, CLAUSE_ALL_REF = range(4)

FunctionType = tuple[bytes, bytes]


def rewrite_legacy_exceptions(sections: list[Section], layout: Layout) -> list[Section]:
    """`sections` with every legacy `try` replaced; the same behaviour, the same indices.

    Raises `MalformedImage` (400) for GC types and for `try` beside `try_table` in one function.
    """
    types = TypeTable(_payload(sections, binary.TYPE))
    imported = sum(item.kind == "function" for item in layout.imports)
    tags = [types.of(index)[0] for index in layout.tags]
    reader = Reader(_payload(sections, binary.CODE))
    bodies = []
    for function in range(imported, imported + reader.unsigned()):
        body = reader.take(reader.unsigned())
        if op.TRY in body:
            params = len(types.of(layout.functions[function])[0])
            body = FunctionRewriter(body, params, types, tags).rewrite()
        bodies.append(binary.unsigned(len(body)) + body)
    sections = binary.with_section(sections, binary.TYPE, types.encode())
    return binary.with_section(sections, binary.CODE, binary.vector(bodies))


def _payload(sections: list[Section], section: int) -> bytes:
    return next((data for found, data in sections if found == section), b"\x00")


class TypeTable:
    """The module's function types; new ones are added behind, so that old indices keep."""

    def __init__(self, payload: bytes) -> None:
        reader = Reader(payload)
        self._types = [self._read(reader) for _ in range(reader.unsigned())]
        self._index = {found: index for index, found in reversed(list(enumerate(self._types)))}

    @staticmethod
    def _read(reader: Reader) -> FunctionType:
        if reader.byte() != 0x60:
            raise MalformedImage("legacy exceptions beside GC types are not supported")
        return reader.take(reader.unsigned()), reader.take(reader.unsigned())

    def of(self, index: int) -> FunctionType:
        """Parameter and result types of type `index`."""
        if not 0 <= index < len(self._types):
            raise MalformedImage(f"type index {index} out of bounds")
        return self._types[index]

    def of_block(self, block_type: bytes) -> FunctionType:
        """Parameter and result types of an encoded block type."""
        index = Reader(block_type).signed()
        if index >= 0:
            return self.of(index)
        return b"", b"" if block_type[0] == EMPTY else block_type

    def block_type(self, params: bytes, results: bytes) -> bytes:
        """The encoded block type of (params) -> (results)."""
        if not params and len(results) <= 1:
            return results or bytes([EMPTY])
        key = (params, results)
        if key not in self._index:
            self._index[key] = len(self._types)
            self._types.append(key)
        return binary.signed(self._index[key])

    def encode(self) -> bytes:
        """The payload of the type section."""
        return binary.vector(
            b"".join((b"\x60", *(binary.unsigned(len(part)) + part for part in item)))
            for item in self._types
        )


class Frame:
    """One block of the original body: a `try`, any other block, or the function itself.

    `catcher` is the next enclosing try whose body we are in (the function at last), `effective`
    where an exception that reaches this frame's body is handled. `position` is where its label
    sits among the new labels, `landing` where its `$d` does.
    """

    def __init__(
        self, is_try: bool = False, block_type: bytes = b"", catcher: Frame | None = None
    ) -> None:
        self.is_try = is_try
        self.block_type = block_type
        self.catcher: Frame = catcher or self
        self.effective: Frame = self
        self.delegates_to: Frame | None = None
        self.handlers: list[int | None] = []
        self.handlers_emitted = 0
        self.in_handler = False
        self.exception_local: int | None = None
        self.is_target = False
        self.position = 0
        self.landing = 0

    @property
    def catcher_inside(self) -> Frame:
        """The catcher of what stands in this frame now."""
        return self if self.is_try and not self.in_handler else self.catcher

    def resolve(self) -> None:
        """Set `effective`, once those of all outer frames are set."""
        if self.delegates_to is not None:
            self.effective = self.delegates_to.effective
            self.effective.is_target = True
        elif self.is_try and not self.handlers:
            self.effective = self.catcher.effective


class FunctionRewriter:
    """Rewrites one function body; `tags` are the parameter types of the module's tags."""

    def __init__(self, body: bytes, params: int, types: TypeTable, tags: list[bytes]) -> None:
        self.body = body
        self.types = types
        self.tags = tags
        reader = Reader(body)
        runs = [(reader.unsigned(), reader.byte()) for _ in range(reader.unsigned())]
        self.runs = runs
        self.locals = params + sum(count for count, _ in runs)
        self.exception_locals = 0
        self.code_start = reader.at
        self.function = Frame()
        self.frames: dict[int, Frame] = {}
        self.out = bytearray()
        self.height = 1
        self.stack: list[Frame] = []

    def rewrite(self) -> bytes:
        """The new body, or the old one if it has no `try`."""
        instructions = list(walk(self.body, self.code_start, len(self.body)))
        opcodes = {instruction.opcode for instruction in instructions}
        if op.TRY not in opcodes:
            return self.body
        if op.TRY_TABLE in opcodes:
            raise MalformedImage("try and try_table in one function are not supported")
        self._analyse(instructions)
        self._emit(instructions)
        runs = list(self.runs)
        if self.exception_locals:
            runs.append((self.exception_locals, EXNREF))
        declared = (binary.unsigned(count) + bytes([letter]) for count, letter in runs)
        return binary.vector(declared) + bytes(self.out)

    # First pass: which handlers a try has, who rethrows and who delegates to whom.

    def _analyse(self, instructions: list[Instruction]) -> None:
        stack = [self.function]
        for instruction in instructions:
            if not stack:
                raise MalformedImage("instructions after the end of a function")
            self._analyse_one(instruction, stack)
        for frame in (self.function, *self.frames.values()):
            frame.resolve()

    def _analyse_one(self, instruction: Instruction, stack: list[Frame]) -> None:
        opcode, start, operands, end = instruction
        if opcode in op.OPENING:
            catcher = stack[-1].catcher_inside
            frame = Frame(opcode == op.TRY, self.body[operands:end], catcher)
            self.frames[start] = frame
            stack.append(frame)
        elif opcode in (op.CATCH, op.CATCH_ALL):
            stack[-1].in_handler = True
            stack[-1].handlers.append(self._tag(operands) if opcode == op.CATCH else None)
        elif opcode == op.RETHROW:
            self._note_rethrow(_label(stack, self._unsigned(operands)))
        elif opcode == op.DELEGATE:
            self._note_delegate(stack.pop(), stack, self._unsigned(operands))
        elif opcode == op.END:
            stack.pop()

    def _tag(self, at: int) -> int:
        tag = self._unsigned(at)
        if tag >= len(self.tags):
            raise MalformedImage(f"tag index {tag} out of bounds")
        return tag

    def _note_rethrow(self, frame: Frame) -> None:
        if not frame.in_handler:
            raise MalformedImage("rethrow outside of a catch")
        if frame.exception_local is None:
            frame.exception_local = self.locals + self.exception_locals
            self.exception_locals += 1

    def _note_delegate(self, frame: Frame, stack: list[Frame], label: int) -> None:
        if not frame.is_try or frame.handlers:
            raise MalformedImage("delegate without its try")
        frame.delegates_to = _label(stack, label).catcher_inside

    # Second pass: copy everything but labels and exception handling.

    def _emit(self, instructions: list[Instruction]) -> None:
        self.stack = [self.function]
        if self.function.is_target:
            self._open(op.BLOCK, bytes([EXNREF]))
            self.function.landing = 1
        copied = self.code_start
        for instruction in instructions:
            self.out += self.body[copied : instruction.start]
            self._emit_one(instruction)
            copied = instruction.end

    def _emit_one(self, instruction: Instruction) -> None:
        opcode, start, operands, end = instruction
        if opcode in op.OPENING:
            self._emit_opening(opcode, self.frames[start])
        elif opcode in (op.CATCH, op.CATCH_ALL):
            self._emit_handler(self.stack[-1])
        elif opcode in (op.END, op.DELEGATE):
            self._emit_end(self.stack.pop())
        elif opcode == op.RETHROW:
            self._emit_rethrow(_label(self.stack, self._unsigned(operands)))
        elif opcode == op.BR_TABLE:
            self._emit_br_table(operands)
        elif opcode in (op.BR, op.BR_IF):
            self._branch(_label(self.stack, self._unsigned(operands)).position, opcode)
        else:
            self.out += self.body[start:end]

    def _emit_opening(self, opcode: int, frame: Frame) -> None:
        self.stack.append(frame)
        frame.position = self.height
        if frame.delegates_to is not None:
            landing = binary.unsigned(self.height - 1 - frame.effective.landing)
            clauses = [bytes([CLAUSE_ALL_REF]) + landing]
            self._open(op.TRY_TABLE, frame.block_type + binary.vector(clauses))
        elif frame.handlers:
            self._open_try(frame)
        else:
            self._open(op.BLOCK if opcode == op.TRY else opcode, frame.block_type)

    def _open_try(self, frame: Frame) -> None:
        params, _ = self.types.of_block(frame.block_type)
        reference = b"" if frame.exception_local is None else bytes([EXNREF])
        self._open(op.BLOCK, frame.block_type)
        for tag in reversed(frame.handlers):
            payload = b"" if tag is None else self.tags[tag]
            self._open(op.BLOCK, self.types.block_type(params, payload + reference))
        clauses = [_clause(tag, at, bool(reference)) for at, tag in enumerate(frame.handlers)]
        self._open(op.TRY_TABLE, frame.block_type + binary.vector(clauses))
        if frame.is_target:
            frame.landing = self.height
            self._open(op.BLOCK, self.types.block_type(params, bytes([EXNREF])))

    def _emit_handler(self, frame: Frame) -> None:
        if frame.handlers_emitted == 0:
            if frame.is_target:
                self._branch(frame.position)
                self._close()
                self.out.append(op.THROW_REF)
            self._close()
        frame.handlers_emitted += 1
        self._branch(frame.position)
        self._close()
        if frame.exception_local is not None:
            self.out.append(op.LOCAL_SET)
            self.out += binary.unsigned(frame.exception_local)

    def _emit_end(self, frame: Frame) -> None:
        if frame is self.function and frame.is_target:
            self.out.append(op.RETURN)
            self._close()
            self.out.append(op.THROW_REF)
        self._close()

    def _emit_rethrow(self, frame: Frame) -> None:
        self.out.append(op.LOCAL_GET)
        self.out += binary.unsigned(frame.exception_local or 0)
        self.out.append(op.THROW_REF)

    def _emit_br_table(self, operands: int) -> None:
        reader = Reader(self.body, operands)
        count = reader.unsigned()
        self.out.append(op.BR_TABLE)
        self.out += binary.unsigned(count)
        for _ in range(count + 1):
            position = _label(self.stack, reader.unsigned()).position
            self.out += binary.unsigned(self.height - 1 - position)

    def _branch(self, position: int, opcode: int = op.BR) -> None:
        self.out.append(opcode)
        self.out += binary.unsigned(self.height - 1 - position)

    def _open(self, opcode: int, operands: bytes) -> None:
        self.out.append(opcode)
        self.out += operands
        self.height += 1

    def _close(self) -> None:
        self.out.append(op.END)
        self.height -= 1

    def _unsigned(self, at: int) -> int:
        return Reader(self.body, at).unsigned()


def _label(stack: list[Frame], label: int) -> Frame:
    if label >= len(stack):
        raise MalformedImage(f"label {label} out of bounds")
    return stack[-1 - label]


def _clause(tag: int | None, label: int, reference: bool) -> bytes:
    if tag is None:
        return bytes([CLAUSE_ALL_REF if reference else CLAUSE_ALL]) + binary.unsigned(label)
    kind = bytes([CLAUSE_REF if reference else CLAUSE])
    return kind + binary.unsigned(tag) + binary.unsigned(label)
