"""The threads that work beside the event loop, all made and ended in one place: by the composition root."""

from concurrent.futures import ThreadPoolExecutor


class Threads:
    """One executor for each kind of work; a thread starts when its first work comes."""

    def __init__(self, decoders: int) -> None:
        """`decoders` is how many images may be decoded at one time."""
        self.check = ThreadPoolExecutor(1, "check")
        """Asks models whether they can still answer."""
        self.decode = ThreadPoolExecutor(decoders, "decode")
        self.load = ThreadPoolExecutor(1, "load")
        """Reads model directories, loads and closes models: one after the other."""
        self.parse = ThreadPoolExecutor(1, "parse")
        """One thread, because parsers hold the interpreter's lock: more would only wait for each other."""
        self.unpack = ThreadPoolExecutor(1, "unpack")
        """Compressed bodies take turns here, piece by piece."""

    def end(self) -> None:
        """Start nothing more, and do not wait for what cannot be interrupted."""
        for executor in (self.check, self.decode, self.load, self.parse, self.unpack):
            executor.shutdown(wait=False, cancel_futures=True)
