"""Where cells and trainings are computed: in this process, or by the workers of a `concurrent.futures.Executor`.

A task is a function of this package, settings as JSON can hold them, and files under names that their content decides.
A worker gets a file once, and writes nothing but its own temporary folder: results come back, and only the process that
asked stores them.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import importlib.util
import io
import logging
import os
import sys
import tempfile
import threading
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import tensorflow as tf

from blurnet_tf.evaluation.provenance import environment
from blurnet_tf.files import atomic_path

Task = Callable[[Mapping[str, Any], Path], Any]
"""Computes something from settings and a folder that holds the files."""

LOCAL = "local"
MOST_AT_ONCE = 256
"""Tasks that wait or run at a time: each holds a lock, and its result until it is stored."""

_MOST_FILES = 64  # that are kept at the workers
_MOST_ROWS = 64  # that the driver prepares at a time
_FAILURES = 20  # workers that may die over one task, in a cluster of this machine

T = TypeVar("T")
R = TypeVar("R")


class WorkersError(OSError):
    """The workers are gone, or too many died over one task; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a worker gives back.

    Attributes:
        result: Of the task.
        seconds: That it took.
        environment: Of the worker.
        notes: Warnings, each with its category.
    """

    result: Any
    seconds: float
    environment: Mapping[str, Any]
    notes: tuple[tuple[str, type[Warning]], ...] = ()


class Engine:
    """Sends tasks to an executor. `engine` makes one."""

    def __init__(
        self, executor: Executor, *, send: Callable[[str, bytes], Any] | None = None, threads: int = 0
    ) -> None:
        """Take an executor, and what sends a file to its workers once; by default it goes along with each task.

        `threads` is how many TensorFlow has in each worker; 0: all that the worker may use.
        """
        self._executor, self._send, self._threads = executor, send, threads
        self._files: OrderedDict[str, Any] = OrderedDict()
        self._lock = threading.Lock()

    def submit(self, task: Task, content: Mapping[str, Any], files: Mapping[str, Callable[[], bytes]]) -> Future[Any]:
        """Have a task computed, and return its `Answer` to come. `files` are made when they were not sent yet."""
        sent = [self._file(name, make) for name, make in files.items()]
        driver = {"identity": _identity(), "threads": self._threads}
        return self._executor.submit(_work, task, dict(content), driver, tuple(files), *sent)

    def _file(self, name: str, make: Callable[[], bytes]) -> Any:
        with self._lock:
            if name not in self._files:
                self._files[name] = make() if self._send is None else self._send(name, make())
                if len(self._files) > _MOST_FILES:
                    self._files.popitem(last=False)
            self._files.move_to_end(name)
            return self._files[name]


def _here() -> None:
    return None


_CURRENT: contextvars.ContextVar[Callable[[], Engine | None]] = contextvars.ContextVar("engine", default=_here)


def current() -> Engine | None:
    """Return the engine of the `with` block that this runs in, started; `None`: all is computed in this process."""
    return _CURRENT.get()()


def elsewhere() -> bool:
    """Return whether there is an engine, without starting it."""
    return _CURRENT.get() is not _here


@contextlib.contextmanager
def engine(where: str | Executor = LOCAL) -> Iterator[None]:
    """Have the cells and trainings of the block computed elsewhere; what is stored is stored by this process.

    Workers are started, or connected with, when there is something to compute.

    Args:
        where: "local", in this process; "processes:N", in N processes of this machine; the address of a Dask scheduler,
            "tcp://host:8786" or "tls://host:8786"; its scheduler file; or an executor of yours, whose workers have one
            thread each. Behind an address or a file, "?threads=4" says how many threads TensorFlow has in a worker, if
            not all of its machine's, and "?GPU=1" asks for workers with such a resource. All but the first and the last
            need the extra `distributed`.

    Raises:
        OSError: The scheduler does not answer.
        ValueError: `where` is none of these, the extra is not installed, or a worker runs another version than this
            process.

    Example:
        >>> with engine("processes:2"):  # doctest: +SKIP
        ...     blurnet_tf.benchmark("baseline", "rp2")
    """
    lock = threading.Lock()
    parsed = () if isinstance(where, Executor) or where == LOCAL else _parse(where)

    @functools.cache
    def made() -> Engine:
        return Engine(where) if isinstance(where, Executor) else stack.enter_context(_cluster(where, *parsed))

    def get() -> Engine:
        with lock:  # threads ask at the same time
            return made()

    with contextlib.ExitStack() as stack:
        token = _CURRENT.set(_here if where == LOCAL else get)
        try:
            yield
        finally:
            _CURRENT.reset(token)


def each(function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Return what a function gives for each item: one after the other here, several at a time under an engine.

    The function itself runs in this process; what it has computed elsewhere overlaps.
    """
    if not elsewhere():
        return [function(item) for item in items]
    context = contextvars.copy_context()  # a copy for each call, which knows the engine
    with ThreadPoolExecutor(_MOST_ROWS) as pool:
        return list(pool.map(lambda item: context.copy().run(function, item), items))


def rounds(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield the items that are worked at together: all of them under an engine, else one after the other."""
    return iter([items] if elsewhere() else [[item] for item in items])


def answer(future: Future[Any], what: str) -> Answer:
    """Return what a worker answered, and repeat its warnings; `WorkersError` if none could answer."""
    try:
        found: Answer = future.result()
    except CancelledError as error:
        raise WorkersError(
            f"{what}: the workers were lost before it was computed. What was stored stays; start it again."
        ) from error
    except Exception as error:
        if type(error).__name__ != "KilledWorker":  # Dask's, which is not imported for its name alone
            raise
        raise WorkersError(
            f"{what}: every worker that computed it died, most often because memory ran out. See the workers' logs."
        ) from error
    for message, category in found.notes:
        warnings.warn(message, category, stacklevel=2)
    return found


def _parse(where: str) -> tuple[int, str, dict[str, float], int]:
    """Return how many processes of this machine, or a Dask scheduler's place, what its workers must have, threads."""
    place, _, wanted = where.partition("?")
    processes = place.removeprefix("processes:")
    try:
        resources = {name: float(amount) for name, amount in parse_qsl(wanted, strict_parsing=bool(wanted))}
        count = 0 if processes == place else int(processes)
        threads = int(resources.pop("threads", 0))
    except ValueError:
        count, resources, place, threads = 0, {}, "", 0
    if not (count > 0 and not wanted if processes != place else "://" in place or Path(place).is_file()):
        raise ValueError(
            "ENGINE= must be local, processes:N, the address of a Dask scheduler such as tcp://host:8786, or its "
            f"scheduler file. Received: {where}"
        )
    if importlib.util.find_spec("distributed") is None:
        raise ValueError(f"ENGINE={where} needs Dask: pip install 'blurnet-tf[distributed]'")
    return count, place, resources, threads


def _share(processes: int) -> int:
    """Return how many threads TensorFlow has in each of some processes of this machine."""
    return max(1, len(os.sched_getaffinity(0)) // processes)


@contextlib.contextmanager
def _cluster(where: str, processes: int, place: str, resources: Mapping[str, float], threads: int) -> Iterator[Engine]:
    import dask
    import distributed

    with contextlib.ExitStack() as stack:
        if processes:
            threads = _share(processes)
            stack.enter_context(dask.config.set({"distributed.scheduler.allowed-failures": _FAILURES}))
            workers = distributed.LocalCluster(
                n_workers=processes,
                threads_per_worker=1,
                memory_limit=0,  # a compiled attack may take most of the memory; Dask would kill it
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",  # `None` takes the usual port all the same, and warns if it is taken
                silence_logs=logging.CRITICAL,
            )
            at = {"address": stack.enter_context(workers)}
        else:
            at = {"address": place} if "://" in place else {"scheduler_file": place}
        try:
            client = stack.enter_context(distributed.Client(**at, set_as_default=False))
        except (OSError, TypeError, ValueError) as error:  # TypeError: tls:// without certificates
            raise WorkersError(f"ENGINE={where} cannot be reached: {str(error).splitlines()[0]}") from error
        for worker, theirs in client.run(_identity).items():
            _check_identity(worker, _identity(), theirs)
        count = len(client.scheduler_info(n_workers=-1)["workers"])
        print(f"ENGINE={where}: {count or 'no'} worker{'s' * (count != 1)}{'' if count else ' yet'}", flush=True)

        def send(name: str, content: bytes) -> Any:
            # A task of its own, not scattered data: if the worker that holds it dies, another one gets it anew.
            return client.submit(_same, content, key=f"blurnet-{name}", resources=resources or None)

        executor = client.get_executor(pure=False, **({"resources": resources} if resources else {}))
        yield Engine(executor, send=send, threads=threads)


def _work(
    task: Task, content: Mapping[str, Any], driver: Mapping[str, Any], names: tuple[str, ...], *files: bytes
) -> Answer:
    """Compute a task: what a worker does."""
    place = _worker()
    _set_threads(driver["threads"])
    _check_identity(getattr(place, "address", "this one"), driver["identity"], _identity())
    if place is not None and place.state.nthreads != 1:
        raise ValueError(
            f"A worker must have one thread, because TensorFlow brings its own: start it with --nthreads 1. Received: "
            f"{place.state.nthreads} threads at {place.address}"
        )
    folder = Path(_folder(None if place is None else place.local_directory).name)
    for name, file in zip(names, files, strict=True):
        if not (folder / name).exists():
            with atomic_path(folder / name) as temporary:
                temporary.write_bytes(file)
    started = time.perf_counter()
    # The lines of several workers would mix; who asked says what was done.
    quiet = contextlib.nullcontext() if place is None else contextlib.redirect_stdout(io.StringIO())
    with warnings.catch_warnings(record=True) as caught, quiet:
        warnings.simplefilter("always", UserWarning)
        result = task(content, folder)
    return Answer(
        result=result,
        seconds=round(time.perf_counter() - started, 2),
        environment=environment(),
        notes=tuple((str(one.message), one.category) for one in caught if issubclass(one.category, UserWarning)),
    )


@functools.cache  # TensorFlow takes it before it computes anything, and not again
def _set_threads(count: int) -> None:
    if count:
        tf.config.threading.set_intra_op_parallelism_threads(count)
        tf.config.threading.set_inter_op_parallelism_threads(count)


def _same(content: bytes) -> bytes:
    return content


def _worker() -> Any:
    """Return the Dask worker that this runs in, or `None`."""
    if "distributed" not in sys.modules:
        return None
    import distributed

    try:
        return distributed.get_worker()
    except ValueError:
        return None


@functools.cache
def _folder(place: str | None) -> tempfile.TemporaryDirectory[str]:
    """Return a folder of this process, which goes with it; Dask removes `place` even after a kill."""
    return tempfile.TemporaryDirectory(prefix="blurnet-", dir=place)


@functools.cache
def _identity() -> Mapping[str, Any]:
    """Return what must be the same at the driver and at each worker, or tables would be of several programs."""
    known = environment()
    packages = {name: version for name, version in known["packages"].items() if name != "matplotlib"}
    return {**packages, "commit": known["git"] and known["git"]["commit"]}


def _check_identity(worker: str, driver: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    other = {
        name: (mine, theirs.get(name))
        for name, mine in driver.items()
        if mine is not None and theirs.get(name) not in (mine, None)
    }
    if other:
        received = ", ".join(f"{name} {found} where {mine} is here" for name, (mine, found) in other.items())
        raise ValueError(f"Worker {worker} must run what this process runs. Received: {received}")
