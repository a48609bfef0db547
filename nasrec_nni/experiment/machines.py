"""Where trials run, if not on this machine: NNI's own keys from a file of the user's, put over our experiment.

Fact: NNI takes a misspelt or incomplete training service at `nnictl create` only, some of it after the start, and a
code folder without files breaks the remote service ("no files or directories specified").
"""

from __future__ import annotations

import contextlib
import logging
import shlex
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from nasrec_nni.errors import UserError, nearest
from nasrec_nni.files import write_text

EXAMPLES = "See examples/nni/remote.yml of the sources"
KEYS = ("trainingService", "trialCommand", "trialGpuNumber", "nniManagerIp", "sharedStorage")
HERE = ("127.", "localhost", "0.", "::")
PLACEHOLDER = "This file is here because NNI cannot send an empty folder.\n"


def read(path: Path) -> dict[str, Any]:
    """The keys of such a file.

    Raises:
        UserError: it cannot be read, or has other keys.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"cannot be read ({str(error).splitlines()[0]})", where=str(path)) from None
    if not isinstance(content, dict) or "trainingService" not in content:
        raise UserError("names no trainingService", where=str(path), hint=EXAMPLES)
    for key in content:
        if key not in KEYS:
            raise UserError("unknown key", value=key, where=str(path), allowed=", ".join(KEYS), hint=nearest(key, KEYS))
    return content


def placed(content: Mapping[str, Any], machines: Mapping[str, Any], run: Path, where: str) -> dict[str, Any]:
    """An experiment's content with trials on those machines.

    Args:
        content: of the experiment, as NNI's config file has it, its search space included.
        machines: what `read` gave; `{run}` in it stands for the run folder.
        run: the run folder; every machine needs it at this path, its data too.
        where: the file, named in errors.

    Raises:
        UserError: NNI refuses it, or the machines could not reach the manager.
    """
    found = {**content, "trialCommand": "exec nasrec-trial {run}", **machines}
    found = {key: _filled(value, shlex.quote(str(run))) if key in KEYS else value for key, value in found.items()}
    address = found.get("nniManagerIp")
    if not isinstance(address, str) or address.startswith(HERE):
        raise UserError(
            "must be the address at which the machines reach this one",
            value=address,
            where=f"{where}: nniManagerIp",
            hint="`ip addr` lists this machine's addresses",
        )
    write_text(Path(found["trialCodeDirectory"]) / "README.txt", PLACEHOLDER)
    _checked_by_nni(found, where)
    return found


def _filled(value: Any, run: str) -> Any:
    if isinstance(value, str):
        return value.replace("{run}", run)
    if isinstance(value, dict):
        return {key: _filled(one, run) for key, one in value.items()}
    return [_filled(one, run) for one in value] if isinstance(value, list) else value


def _checked_by_nni(content: dict[str, Any], where: str) -> None:
    from nni.experiment.config import ExperimentConfig

    try:
        with warnings.catch_warnings(), _quietly():
            warnings.simplefilter("ignore")
            ExperimentConfig(**content).validate()
    except Exception as error:  # NNI raises whatever comes, assertions without a word among it
        told = str(error) or "a value is out of its range (NNI does not say which)"
        raise UserError(f"NNI refuses it: {told}", where=where, hint=EXAMPLES) from None


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """NNI's own log lines are for its own commands."""
    logger = logging.getLogger("nni")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
