"""One session of a guest: it is found, describes itself, is fitted on a log, and predicts; or it acts."""

import importlib
import inspect
import os
import random
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from simbench.errors import BadInput
from simbench.estimator.estimator import Estimator
from simbench.estimator.registry import class_prior_method, find
from simbench.study.guests.acting import Acting
from simbench.study.guests.cargo import unpacked_log, unpacked_matrix, unpacked_training
from simbench.study.guests.manifest import Manifest
from simbench.study.guests.wire import Arrays, Channel, Message, decoded
from simbench.training.trained import diagnostics_of


def serve(first: Message, channel: Channel) -> None:
    """Answer requests about one guest until the session ends.

    Parameters
    ----------
    first : dict
        ``name``: the guest; ``path``: where modules are found; ``folder``: the session's own.
    channel : Channel
    """
    for seed in (random.seed, np.random.seed, torch.seed):
        seed()  # not the numbers of the session before: who uses these generators is not repeatable
    sys.path[:] = first["path"]
    importlib.invalidate_caches()
    guest = Guest(first["name"], os.path.join(first["folder"], "given"))
    while True:
        message, arrays = channel.receive()
        if message["op"] == "end":
            return
        try:
            reply, found = guest.answer(message, arrays)
        except BadInput as error:
            reply, found = {"error": f"BadInput: {error}", "bad input": str(error)}, {}
        except BaseException as error:  # whatever a stranger's code raises, sys.exit included
            reply, found = {"error": ": ".join([type(error).__name__, *str(error).splitlines()[:1]])}, {}
        try:
            channel.send(reply, found)
        except TypeError as error:
            channel.send({"error": f"TypeError: {error}"})


class Guest:
    """What a session knows: the estimator's class, and the model that was fitted last.

    Parameters
    ----------
    name : str
        Name under which the class is found, here and not before.
    folder : str
        Where matrices on disk are handed.
    """

    def __init__(self, name: str, folder: str):
        self.name, self.folder = name, folder
        self.model: Any = None
        self.acting = Acting(name)

    def answer(self, message: Message, arrays: Mapping[str, np.ndarray]) -> tuple[Message, Arrays]:
        """The answer to one request."""
        told = {**message, "folder": self.folder}
        match message["op"]:
            case "describe":
                return Manifest.of(find(self.name)).message(), {}
            case "check":
                self._made(told).check_parameters()
                return {}, {}
            case "fit":
                return self._fit(told, arrays)
            case "class prior":
                log = unpacked_log(told["log"] | {"folder": self.folder}, arrays)
                return {}, {"class prior": np.asarray(class_prior_method(self.name)(log, told["seed"]))}
            case "predict":
                features = unpacked_matrix("features", told, arrays)
                assert features is not None  # the bench hands them
                return {}, {"predictions": np.asarray(self.model.predict(features))}
            case "behaviour":
                return self.acting.answer(told, arrays)
            case "trap":
                from simbench.study import trap  # a second that only `simbench check` waits for

                bait = trap.Bait(**message["bait"])
                predictions, reached = trap.spring(find(self.name), bait, trap.here())
                return {"reached": reached}, {"predictions": predictions}
        raise BadInput(f"there is no request {message['op']!r}.")

    def _made(self, told: Message) -> Estimator:
        return find(self.name)(**decoded(told["parameters"]))

    def _fit(self, told: Message, arrays: Mapping[str, np.ndarray]) -> tuple[Message, Arrays]:
        estimator, log = self._made(told), unpacked_log(told["log"] | {"folder": self.folder}, arrays)
        device = getattr(estimator, "device", "cpu")
        holdout, execution = unpacked_training(told["training"], arrays, device)
        more: dict[str, Any] = {} if holdout is None else {"holdout": holdout}
        takes = "execution" in inspect.signature(estimator.fit_replicates).parameters
        if execution is not None and (takes or execution.precision != "fp32"):
            more["execution"] = execution
        self.model = estimator.fit_replicates(log, told["replicates"], **more)
        facts: Arrays = {}
        if (loss := getattr(self.model, "held_out_loss", None)) is not None:
            facts["held_out_loss"] = np.asarray(loss)
        for name, value in diagnostics_of(self.model, estimator.get_params().get("epochs")).items():
            facts[f"diagnostics {name}"] = np.asarray(value)
        return {}, facts
