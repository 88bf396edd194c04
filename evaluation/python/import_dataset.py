"""Imports a data set into a folder with manifest.jsonl, for `neuralsmpl eval run`.

    python evaluation/python/import_dataset.py 3dpw   3DPW  --out OUT --smpl-male M.pkl --smpl-female F.pkl
    python evaluation/python/import_dataset.py npz    h36m.npz --names h36m --units mm --out OUT
    python evaluation/python/import_dataset.py coco   person_keypoints_val2017.json --images val2017 --out OUT
    python evaluation/python/import_dataset.py shards DIR --out OUT --body models/person/body.safetensors
    python evaluation/python/import_dataset.py real   DIR --out OUT

docs/datasets.md lists the fields of a manifest, what each importer reads, and under which licences.
`import_dataset.py 3dpw --help` and so on say the rest.
"""

import argparse
import importlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from manifest_writer import DatasetError  # noqa: E402

IMPORTERS = {name: f"import_{name}" for name in ("3dpw", "npz", "coco", "shards", "real")}


def main(arguments=None):
    """Command line; 0 when the manifest is written, 1 when the data set is not as expected."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="kind", required=True, metavar="|".join(IMPORTERS))
    for name, module in IMPORTERS.items():
        found = importlib.import_module(module)
        command = commands.add_parser(name, description=found.__doc__, help=found.__doc__.splitlines()[0],
                                      formatter_class=argparse.RawDescriptionHelpFormatter)
        found.add_arguments(command)
        command.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")
        command.set_defaults(run=found.run)
    args = parser.parse_args(arguments)
    if getattr(args, "every", 1) < 1:
        parser.error(f"--every is {args.every}, expected 1 or more")
    try:
        path, count = args.run(args)
    except (DatasetError, OSError, ValueError) as error:
        print(f"import_dataset {args.kind}: {error}", file=sys.stderr)
        return 1
    print(f"{path}: {count} samples")
    return 0


if __name__ == "__main__":
    sys.exit(main())
