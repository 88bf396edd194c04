"""Shards over processes: Ray with two workers on this machine, and Slurm's variables without Slurm."""

import json
import shutil
import subprocess
import sys

import pytest
from conftest import PYTHON

import ray_eval

PROGRAM = '''
"""Stands in for the program: the same command line, and a line for each sample of its shard."""
import json, sys
from hashlib import sha256
from pathlib import Path

def option(name):
    return sys.argv[sys.argv.index(name) + 1]

out = Path(option("--out"))
out.mkdir(parents=True, exist_ok=True)
results = out / "results.jsonl"
if sys.argv[1:3] == ["eval", "run"]:
    index, count = map(int, option("--shard").split("/"))
    flag = out / "first"
    if index == 2 and not flag.exists():
        flag.write_text("")
        sys.exit("shard 2 stops at its first start")
    if option("--systems") == "broken" and index == 1:
        sys.exit("system broken is not known")
    mine = [i for i in range(40) if int.from_bytes(sha256(str(i).encode()).digest()[:8]) % count == index - 1]
    results.write_text("".join(json.dumps({"sample": i, "arguments": sys.argv[3:]}) + "\\n" for i in mine))
else:
    assert sys.argv[1:3] == ["eval", "merge"], sys.argv
    folders = [Path(a) for a in sys.argv[3:sys.argv.index("--out")]]
    results.write_text("".join((f / "results.jsonl").read_text() for f in folders))
'''


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return path


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_ray_runs_every_shard_again_where_it_must_and_merges(tmp_path, program):
    pytest.importorskip("ray", reason="ray is missing (pip install ray)")

    def call(out, systems, retries="2"):
        command = [sys.executable, PYTHON / "ray_eval.py", "--program", f"{sys.executable} {program}", "--shards", "4", "--cpus", "2",
                   "--retries", retries, "--out", tmp_path / out, "--", "data", "--systems", systems, "--threads", "1"]
        return subprocess.run(command, capture_output=True, text=True)

    done = call("out", "fit")
    assert done.returncode == 0, done.stdout + done.stderr
    merged = lines(tmp_path / "out/merged/results.jsonl")
    assert sorted(line["sample"] for line in merged) == list(range(40))
    assert merged[0]["arguments"][:5] == ["data", "--systems", "fit", "--threads", "1"]
    assert len(list((tmp_path / "out/shards").iterdir())) == 4
    assert "4 of 4, about 0.0 min left" in done.stdout
    again = call("out", "fit")
    assert again.returncode == 1 and "has results already" in again.stderr
    bad = call("bad", "broken", "0")
    assert bad.returncode == 1 and "shard 1/4: exit code 1" in bad.stderr and "system broken is not known" in bad.stderr
    assert "2 of 4 shards failed" in bad.stderr and not (tmp_path / "bad/merged").exists()


@pytest.mark.parametrize(("arguments", "words"), [
    (["--shards", "0", "--", "data"], "--shards is 0"),
    (["--shards", "2"], "nothing stands after --"),
    (["--shards", "2", "--", "data", "--shard", "1/2"], "--shard stands after --"),
])
def test_a_bad_command_is_refused_before_anything_runs(arguments, words, tmp_path, capsys):
    with pytest.raises(SystemExit):
        ray_eval.main([*arguments[:2], "--out", str(tmp_path), *arguments[2:]])
    assert words in capsys.readouterr().err


def test_the_slurm_array_covers_all_shards(tmp_path, program):
    script = PYTHON.parent / "slurm_array.sh"
    wrapper = tmp_path / "neuralsmpl"
    wrapper.write_text(f'#!/bin/sh\nexec {sys.executable} {program} "$@"\n')
    wrapper.chmod(0o755)
    out = tmp_path / "out with a blank"

    def call(*arguments, **more):
        variables = {"PATH": "/usr/bin:/bin", "PROGRAM": str(wrapper), "OUT": str(out), "SHARDS": "3", **more}
        return subprocess.run([script, *arguments], env=variables, capture_output=True, text=True)

    for task in ("1", "2", "2", "3"):  # the second starts twice, because it stops once
        call(SLURM_ARRAY_TASK_ID=task, SLURM_CPUS_PER_TASK="2")
    done = call("merge")
    assert done.returncode == 0, done.stderr
    merged = lines(out / "merged/results.jsonl")
    assert sorted(line["sample"] for line in merged) == list(range(40))
    assert "--threads" in merged[0]["arguments"] and "advocc80" in " ".join(merged[0]["arguments"])
    beyond = call(SLURM_ARRAY_TASK_ID="4")
    assert beyond.returncode == 1 and "task 4, expected 1 to SHARDS=3" in beyond.stderr
    assert "send it with sbatch" in call().stderr
    assert "number of shards" in call(SHARDS="").stderr


def test_the_slurm_script_is_clean():
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    subprocess.run(["shellcheck", PYTHON.parent / "slurm_array.sh"], check=True)
