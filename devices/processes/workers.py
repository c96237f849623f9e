"""The workers of a node: one a process, and so many of them warm (spec/05 §2.10)."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import trio

from hyperbeam_trio.devices.processes.definition import Process
from hyperbeam_trio.devices.processes.worker import Worker, WorkerStopped
from hyperbeam_trio.message import Message
from hyperbeam_trio.service.registry import TaskRegistry

if TYPE_CHECKING:
    from hyperbeam_trio.node import Node


class Workers:
    """Starts workers on demand.

    Beyond the options `process-workers-max` and `process-workers-memory` the idlest ones end.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._tasks = TaskRegistry(node.workers, "process worker")
        self._recent: OrderedDict[str, Worker] = OrderedDict()

    def names(self) -> list[str]:
        """Ids of the processes whose workers run, sorted."""
        return self._tasks.names()

    async def compute(self, process: Process, slot: int) -> Message:
        """The public state of a process after a slot; raises as `Worker.compute` does."""
        while True:
            worker = await self._ensure(process)
            try:
                return await worker.compute(slot)
            except WorkerStopped:
                if not worker.closed:
                    raise
                # It was just ending; its name is free in a moment.
                await trio.lowlevel.checkpoint()

    async def current(self, process: Process) -> Message:
        """The newest state of a process with its live guest."""
        worker = await self._ensure(process)
        return await worker.current()

    async def _ensure(self, process: Process) -> Worker:
        while True:
            worker = Worker(self._node, process, self._trim)
            running = await self._tasks.ensure(process.id, worker.run)
            if isinstance(running, Worker) and not running.closed:
                break
            await trio.lowlevel.checkpoint()
        self._recent[process.id] = running
        self._recent.move_to_end(process.id)
        return running

    def _trim(self) -> None:
        """End the workers that have been idle longest, as many as are too many."""
        config = self._node.config
        limit = config.process_workers_max if config.process_workers else 0
        weight = sum(worker.weight for worker in self._recent.values())
        for id, worker in list(self._recent.items()):
            heavy = weight > config.process_workers_memory and len(self._recent) > 1
            if len(self._recent) <= limit and not heavy and not worker.closed:
                continue
            if worker.closed or worker.idle:
                del self._recent[id]
                weight -= worker.weight
                if not worker.closed:
                    self._tasks.stop(id)
