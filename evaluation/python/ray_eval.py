"""Runs `neuralsmpl eval run` in shards on a Ray cluster, then merges them.

    pip install ray
    python evaluation/python/ray_eval.py --shards 32 --out OUT -- DATA --systems smplify,eft,neuralsmpl --occlusion none,advocc80

What       every shard is one Ray task, `PROGRAM eval run … --shard i/n --out OUT/shards/i-of-n`; what stands after
           `--` is passed on. A task that dies is started again, and goes on where it was. At the end
           `PROGRAM eval merge` writes OUT/merged. Started again with the same arguments, the script repeats only
           what is missing. Program, data and OUT must have the same paths on all machines (a shared file system).
Inputs     a Ray cluster (--address auto), or none: then Ray starts on this machine with --cpus of its cores.
Licence    same as the project. Ray: Apache-2.0.
"""

import argparse
import shlex
import subprocess
import sys
import time
from pathlib import Path

TAIL = 2000
"""Characters of a failed command's words that are passed on."""


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="neuralsmpl", help="the command, with arguments where it needs some (default: %(default)s)")
    parser.add_argument("--shards", type=int, required=True, metavar="N", help="parts; some times the cluster's cores")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for shards/ and merged/")
    parser.add_argument("--address", help="of a Ray cluster: auto, or ray://HOST:10001 (default: start Ray here)")
    parser.add_argument("--cpus", type=int, metavar="N", help="cores to use when Ray starts here (default: all)")
    parser.add_argument("--cpus-per-shard", type=float, default=1, metavar="N", help="cores that a task takes (default: %(default)s)")
    parser.add_argument("--retries", type=int, default=2, metavar="N", help="further starts of a task that fails (default: %(default)s)")
    parser.add_argument("rest", nargs=argparse.REMAINDER, metavar="-- ARGUMENTS", help="of `eval run`: the manifest and its options")
    args = parser.parse_args(arguments)
    args.rest = args.rest[1:] if args.rest[:1] == ["--"] else args.rest
    if args.shards < 1 or args.retries < 0:
        parser.error(f"--shards is {args.shards} and --retries {args.retries}, expected at least 1 and 0")
    if not args.rest:
        parser.error("nothing stands after --, expected the manifest and options of `eval run`")
    taken = {"--shard", "--out"} & {a.split("=")[0] for a in args.rest}
    if taken:
        parser.error(f"{', '.join(sorted(taken))} stands after --, expected it to be left to this script")
    return args


def folder_of(out, index, count):
    """Where a shard writes."""
    return out / "shards" / f"{index}-of-{count}"


def run_shard(command, retries):
    """Runs a command to its end, again where it fails; returns None or the last words of the last failure."""
    said = ""
    for attempt in range(retries + 1):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode == 0:
            return None
        said = f"exit code {done.returncode} at start {attempt + 1}:\n{done.stdout[-TAIL:]}"
    return said


def run_all(ray, args, program):
    """Runs all shards; returns the failed ones with their words."""
    task = ray.remote(num_cpus=args.cpus_per_shard, max_retries=args.retries)(run_shard)
    waiting = {}
    for index in range(1, args.shards + 1):
        out = folder_of(args.out, index, args.shards)
        command = [*program, "eval", "run", *args.rest, "--shard", f"{index}/{args.shards}", "--out", str(out)]
        waiting[task.remote(command, args.retries)] = index
    failed, start = {}, time.monotonic()
    while waiting:
        (ref,), _ = ray.wait(list(waiting), num_returns=1)
        index = waiting.pop(ref)
        try:
            said = ray.get(ref)
        except ray.exceptions.RayError as error:
            said = str(error)
        if said:
            failed[index] = said
        done = args.shards - len(waiting)
        left = (time.monotonic() - start) / done * len(waiting)
        print(f"shard {index}: {'failed' if said else 'done'}; {done} of {args.shards}, about {left / 60:.1f} min left", flush=True)
    return failed


def main(arguments=None):
    """Command line; 0 when all shards are merged."""
    args = parse(arguments)
    try:
        import ray
    except ImportError:
        print("ray_eval: ray is missing; pip install ray", file=sys.stderr)
        return 1
    merged = args.out / "merged"
    if (merged / "results.jsonl").exists():
        print(f"ray_eval: {merged}: has results already; remove the folder, or choose another --out", file=sys.stderr)
        return 1
    program = shlex.split(args.program)
    ray.init(address=args.address, num_cpus=None if args.address else args.cpus, log_to_driver=False,
             include_dashboard=False if not args.address else None)
    try:
        failed = run_all(ray, args, program)
    finally:
        ray.shutdown()
    for index, said in failed.items():
        print(f"ray_eval: shard {index}/{args.shards}: {said}", file=sys.stderr)
    if failed:
        print(f"ray_eval: {len(failed)} of {args.shards} shards failed; start the same command again, which goes on where they "
              "stopped", file=sys.stderr)
        return 1
    folders = [str(folder_of(args.out, i, args.shards)) for i in range(1, args.shards + 1)]
    return subprocess.run([*program, "eval", "merge", *folders, "--out", str(merged)], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
