"""A server whose models and configuration change while it is asked."""

import json
import threading

BODY = json.dumps(
    {"inputs": [{"name": "b", "shape": [1, 10], "datatype": "FP32", "data": [0] * 10}]}
).encode()


def answer(server, path="/v2/models/dummy/infer"):
    """The first number of the answer, and the version that gave it."""
    status, raw, _ = server.post(path, BODY)
    assert status == 200, raw
    told = json.loads(raw)
    return told["outputs"][0]["data"][0], told["model_version"]


def states(server, name="dummy"):
    model = next(model for model in server.status()["models"] if model["name"] == name)
    return {one["version"]: (one["state"], one["wanted"], one["error"]) for one in model["versions"]}


class Load:
    """Constant requests from several threads; remembers every answer that was not 200."""

    def __init__(self, server, callers=4, path="/v2/models/dummy/infer"):
        self._server, self._path = server, path
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(callers)]
        self.count, self.failures = 0, []

    def _run(self):
        while not self._end.is_set():
            try:
                status, raw, _ = self._server.post(self._path, BODY)
            except OSError as error:
                status, raw = 0, repr(error)
            self.count += 1
            if status != 200:
                self.failures.append((status, raw))

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        for thread in self._threads:
            thread.join(60)


def model_status(server, name="dummy"):
    return next((model for model in server.status()["models"] if model["name"] == name), None)


class Configured:
    """A server on a config.json that a test rewrites as kubelet does: by renaming."""

    def __init__(self, directory):
        self.path = directory / "config.json"
        self.directory = directory

    def write(self, revision, *entries, poll=1, **server):
        document = {
            "revision": revision,
            "server": {"file_system_poll_wait_seconds": poll, **server},
            "model_config_list": [{"config": {"target_device": "CPU", **entry}} for entry in entries],
        }
        self.write_text(json.dumps(document))

    def write_text(self, text):
        new = self.directory / "config.json.new"
        new.write_text(text)
        new.rename(self.path)
