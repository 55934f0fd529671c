"""What a data worker process does about signals: nothing, its end is the training process's affair.

Schedulers signal the whole process group. torch's workers end at a SIGTERM that does not come from
their parent, which takes the training process down before it can save; SIGUSR1 and, where workers
are not forked, SIGINT end them too.
"""

import os
import signal
import threading


def outlive_signals(worker: int) -> None:
    """Ignore signals to the group, and end at a SIGTERM of the parent, as torch's own handler does.

    Workers notice within seconds when their parent has gone, so none of them is left behind.

    Args:
        worker: Number of the worker; torch hands it to every `worker_init_fn`.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGUSR1"):
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):  # not on macOS and Windows
        # Blocked in every thread and taken by one that can see who sent it.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()


def _end_with_parent(parent: int) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)
