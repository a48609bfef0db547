"""GPUs of workers, without a GPU: what reaches NNI's config, what is refused, what NNI's scheduler really does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nni_node
import pytest
import torch
import yaml
from nni.experiment.config import ExperimentConfig

from nasrec_nni.cli import main
from nasrec_nni.config import Config, WorkersConfig
from nasrec_nni.data.prepare import prepare
from nasrec_nni.errors import UserError
from nasrec_nni.experiment import config_files, door, gpus, retraining
from nasrec_nni.experiment.gpus import at_a_time, refuse_endless_wait, service, visible
from nasrec_nni.experiment.launch import Plan
from nasrec_nni.pipeline.context import Context
from nasrec_nni.run_folder import RunFolder

NODE = Path(nni_node.__path__[0])
KEYS = {"gpus": 1, "gpu_indices": [1, 2], "per_gpu": 3, "use_active_gpu": True}
THEIRS = {"gpuIndices": [1, 2], "maxTrialNumberPerGpu": 3, "useActiveGpu": True}
CONFIG: dict[str, Any] = {
    "threads": 1,
    "space": {"blocks": 2, "dense_widths": [8], "sparse_rows": [4], "embedding": 4, "heads": 2},
    "supernet": {"recipe": {"preset": "bars", "batch": 128, "epochs": 1}, "validation_rows": 50},
    "search": {"candidates": 24, "in_flight": 8, "options": {"population": 8, "sample": 4}},
    "workers": KEYS,
}


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with three GPUs, as `nvidia-smi` tells, on which nobody works."""
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nprintf '0, GPU-aa11\\n1, GPU-bb22\\n2, GPU-bb33\\n'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.delenv(gpus.CHOSEN, raising=False)
    monkeypatch.setattr(gpus, "busy", set)


# ---- what reaches NNI ------------------------------------------------------------------------------------------------


class Started(Exception):
    """With the plan that would have been started."""


@pytest.mark.usefixtures("machine")
def test_gpus_reach_the_experiment_through_every_door(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def begin(plan: Plan) -> None:
        raise Started(plan)

    def untouched(context: Context) -> None:
        """The supernet of this run is trained, let us say."""

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(door, "running", begin)
    monkeypatch.setattr(config_files, "_refuse_unready", untouched)
    monkeypatch.setattr(retraining, "running", begin)
    prepare("synthetic", [], Path("set"), {"rows": 300}, progress=False)
    Path("c.yaml").write_text(yaml.safe_dump(CONFIG | {"data": {"prepared": "set"}}))
    context = Context(Config.model_validate(CONFIG | {"data": {"prepared": "set"}}), RunFolder(Path("run")), False)
    with pytest.raises(Started) as started:
        door.search(context, 2)
    assert_theirs(started.value.args[0].as_json())
    monkeypatch.setattr(retraining, "untrained", lambda context: [(SimpleNamespace(name="lr"), 0)])
    with pytest.raises(Started) as started:
        retraining.retrain(context, 2)
    assert_theirs(started.value.args[0].as_json())
    assert main(["nni-config", "c.yaml", "--run", "run", "--out", "files", "--workers", "2"]) == 0
    capsys.readouterr()
    content = yaml.safe_load(Path("files/experiment.yml").read_text())
    content["searchSpace"] = json.loads(Path("files", content.pop("searchSpaceFile")).read_text())
    assert_theirs(content)


def assert_theirs(content: dict[str, Any]) -> None:
    assert content["trialGpuNumber"] == 1
    assert THEIRS.items() <= content["trainingService"].items()
    Path(content["trialCodeDirectory"]).mkdir(parents=True, exist_ok=True)
    found = ExperimentConfig(**content).canonical_copy().json()  # as NNI's manager gets it
    assert found["trialGpuNumber"] == found["trainingService"]["trialGpuNumber"] == 1
    assert THEIRS.items() <= found["trainingService"].items()


def test_without_gpus_nnis_keys_stay_away() -> None:
    assert service(WorkersConfig.model_validate(KEYS | {"gpus": 0})) == {}


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(
    ("chosen", "left"),
    [
        (None, [0, 1, 2]),
        ("", []),
        ("2", [2]),
        ("2,0", [0, 2]),
        ("GPU-bb22", [1]),
        ("GPU-aa, 1", [0, 1]),
        ("0,-1,1", [0]),
        ("NoDevFiles", []),
        ("7,0", []),
    ],
)
def test_only_gpus_that_cuda_visible_devices_leaves_are_handed_out(
    chosen: str | None, left: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fact: NNI's scheduler does not look at it."""
    if chosen is not None:
        monkeypatch.setenv(gpus.CHOSEN, chosen)
    assert visible() == left
    found = service(WorkersConfig.model_validate({"gpus": 1}))
    assert found.get("gpuIndices") == (None if chosen is None else left)
    assert service(WorkersConfig.model_validate({"gpus": 1, "gpu_indices": [1]}))["gpuIndices"] == [1]


def test_no_driver_no_gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible() == []
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\nexit 9\n")
    program.chmod(0o755)
    assert visible() == []


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="this machine may have busy GPUs")
def test_without_gpus_none_is_busy() -> None:
    assert gpus.busy() == set()


# ---- what a worker makes of it ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("gpus_there", "device"), [(True, "cuda"), (False, "cpu")])
def test_a_worker_takes_a_gpu_that_it_is_given_and_no_other(
    gpus_there: bool, device: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It names none by number, so CUDA's first visible one is meant; where none is visible, `auto` is the CPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus_there)
    found = Context(Config.model_validate({}), RunFolder(tmp_path), False).device
    assert (found.type, found.index) == (device, None)


def test_a_workers_child_has_the_workers_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What NNI sets for a trial reaches the process that scores."""
    from nasrec_nni.experiment import supervisor as module

    said = tmp_path / "said"
    script = tmp_path / "child.py"
    script.write_text(f"import os; open({str(said)!r}, 'w').write(os.environ['CUDA_VISIBLE_DEVICES']); input()")
    monkeypatch.setattr(module, "trial_command", lambda: str(script))
    monkeypatch.setenv(gpus.CHOSEN, "2")
    with module.Supervisor(tmp_path) as supervisor:
        assert supervisor._child is not None
        for _ in range(2000):
            if said.exists() and said.read_text():
                break
            with pytest.raises(subprocess.TimeoutExpired):
                supervisor._child.wait(0.05)
    assert said.read_text() == "2"


# ---- plans that would wait for ever ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "workers", "there", "at_work", "problem"),
    [
        ({}, 4, [], set(), None),
        ({"gpus": 1}, 1, [], set(), r"more GPUs than there are.*got 1; allowed: at most 0"),
        ({"gpus": 2}, 1, [0], set(), "more GPUs than there are"),
        ({"gpus": 1}, 1, [0], set(), None),
        ({"gpus": 2}, 1, [0, 1], set(), None),
        ({"gpus": 1, "gpu_indices": [3]}, 1, [0, 1], set(), r"workers\.gpu_indices: no such GPU here.*got \[3\]"),
        ({"gpus": 1, "gpu_indices": [1]}, 1, [0, 1], set(), None),
        ({"gpus": 2, "gpu_indices": [1]}, 1, [0, 1], set(), "more GPUs than there are"),
        ({"gpus": 1}, 2, [0], set(), "only 1 workers can have GPUs"),
        ({"gpus": 2}, 2, [0, 1, 2], set(), "only 1 workers can have GPUs"),
        ({"gpus": 1, "per_gpu": 2, "use_active_gpu": True}, 2, [0], set(), None),
        ({"gpus": 1, "per_gpu": 2, "use_active_gpu": True}, 3, [0], set(), "only 2 workers can have GPUs"),
        ({"gpus": 1, "per_gpu": 2}, 2, [0], set(), "would not be given to a second one"),
        ({"gpus": 1, "per_gpu": 2}, 2, [0, 1], set(), None),
        ({"gpus": 1}, 1, [0, 1], {0}, None),
        ({"gpus": 1}, 2, [0, 1], {0}, r"1 of 2 workers would wait.*got \[0\].*With 1 workers none waits"),
        ({"gpus": 1}, 1, [0], {0}, "1 of 1 workers would wait"),
        ({"gpus": 1, "gpu_indices": [1]}, 1, [0, 1], {0}, None),
        ({"gpus": 1, "use_active_gpu": True}, 2, [0, 1], {0}, None),
    ],
)
def test_a_plan_that_would_wait_for_ever_is_refused(
    keys: dict[str, Any], workers: int, there: list[int], at_work: set[int], problem: str | None
) -> None:
    config = WorkersConfig.model_validate(keys)
    if problem is None:
        refuse_endless_wait(config, workers, there, at_work)
        return
    with pytest.raises(UserError, match=problem):
        refuse_endless_wait(config, workers, there, at_work)


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--gpus-per-worker", "4", "workers.per_gpu=1"], "workers.gpus: a worker asks for more GPUs than there are"),
        (["workers.gpu_indices=[1,5]"], "workers.gpu_indices: no such GPU here"),
        (["--gpus-per-worker", "2", "workers.per_gpu=1"], "only 1 workers can have GPUs"),
        (["workers.use_active_gpu=false", "--workers", "3"], "would not be given to a second one"),
    ],
)
@pytest.mark.parametrize("verb", ["search", "retrain", "nni-config"])
def test_the_command_refuses_it_before_any_work(
    verb: str,
    more: list[str],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    content = CONFIG | {"data": {"source": "synthetic", "options": {"rows": 300}}}
    Path("c.yaml").write_text(yaml.safe_dump(content))
    assert main([verb, "c.yaml", "--out", "run", "--workers", "2", *more]) == 2
    shown = capsys.readouterr()
    assert told in shown.err
    assert "Traceback" not in shown.err
    assert not Path("run").exists()


# ---- NNI's scheduler -------------------------------------------------------------------------------------------------

ASK = """
const [, at, plans] = process.argv;
const load = require('module').createRequire(at + '/main.js');
load('app-module-path').addPath(at);
global.nni = { args: { logLevel: 'critical' }, logStream: { writeLine: () => {}, writeLineSync: () => {} } };
load('./common/globals');
const { TaskScheduler } = load('./common/trial_keeper/task_scheduler');
const { UnitTestHelpers } = load('./common/trial_keeper/task_scheduler/scheduler');
async function atATime(gpuNumber, each, limits, active) {
    const gpus = [...Array(gpuNumber).keys()].map((index) => ({ index }));
    const processes = active.map((gpuIndex) => ({ gpuIndex, type: 'compute' }));
    UnitTestHelpers.mockGpuInfo({ success: true, gpuNumber, gpus, processes });
    const scheduler = new TaskScheduler();
    await scheduler.init();
    const given = [];
    for (;;) {
        const found = await scheduler.schedule('e', `t${given.length}`, each, limits).catch(() => null);
        if (found === null) return given;
        given.push(found.CUDA_VISIBLE_DEVICES);
    }
}
(async () => {
    const answers = [];
    for (const plan of JSON.parse(plans)) answers.push(await atATime(...plan));
    console.log(JSON.stringify(answers));
})();
"""


def schedule(plans: list[tuple[Any, ...]], mended: bool = True) -> list[list[str]]:
    """GPUs of each worker that NNI's scheduler lets begin, for plans of (GPUs there, each worker's, limits, active)."""
    manager = ["--require", str(files("nasrec_nni.experiment") / "manager.js")] if mended else []
    words = [str(NODE / "node"), *manager, "-e", ASK, str(NODE), json.dumps(plans)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    found: list[list[str]] = json.loads(done.stdout)
    return found


def test_nni_gives_none_to_a_trial_that_asks_for_all_and_ours_does() -> None:
    """Fact: on a machine with one GPU a trial that asks for one waits for ever."""
    plans: list[tuple[Any, ...]] = [(1, 1, {}, []), (2, 2, {}, []), (4, 4, {}, [])]
    assert schedule(plans, mended=False) == [[], [], []]
    assert schedule(plans) == [["0"], ["0,1"], ["0,1,2,3"]]
    assert schedule([(2, 2, {"rejectActive": True}, [1]), (2, 2, {"onlyUseIndices": [1]}, [])]) == [[], []]


def test_as_many_workers_get_gpus_as_the_check_before_the_start_says() -> None:
    asked = [
        (there, WorkersConfig.model_validate({"gpus": each, "per_gpu": sharing}))
        for there in range(1, 6)
        for each in range(1, 6)
        for sharing in range(1, 5)
    ]
    found = schedule([(there, config.gpus / config.per_gpu, {}, []) for there, config in asked])
    assert [len(one) for one in found] == [at_a_time(config, there) for there, config in asked]


def test_nni_passes_over_gpus_that_are_not_named_or_at_work() -> None:
    limits = [{"onlyUseIndices": [1, 2]}, {"rejectActive": True}, {"onlyUseIndices": [1], "rejectActive": True}]
    assert schedule([(3, 1, one, [1]) for one in limits]) == [["2", "1"], ["0", "2"], []]


def test_what_is_asked_of_the_scheduler() -> None:
    local = (NODE / "training_service" / "local_v3" / "local.js").read_text()
    assert "gpuNumber /= this.config.maxTrialNumberPerGpu" in local
    assert "rejectActive: !this.config.useActiveGpu" in local
    assert "onlyUseIndices: this.config.gpuIndices" in local
