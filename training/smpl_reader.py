"""Reads SMPL model files (.npz, .pkl) without running any code that they carry.

What       `read_smpl(path)` returns the arrays of an SMPL file, checked. Pickles go through an unpickler
           that knows numpy arrays, scipy.sparse matrices and chumpy's array wrappers (chumpy itself is not
           needed) and refuses every other name.
Inputs     a file with v_template, shapedirs, J_regressor, weights, kintree_table, f and, optionally, posedirs.
Licence    this code: same as the project. The files are the user's, under SMPL's own licence.
Command    none: imported by convert_smpl.py.
"""

import pickle
import zipfile

import numpy as np
from scipy import sparse

from body_file import BETAS, JOINTS

SUFFIXES = (".npz", ".pkl")
KEYS = ("v_template", "shapedirs", "J_regressor", "weights", "kintree_table", "f")
OPTIONAL = ("posedirs",)
ROOT_PARENTS = (-1, 0xFFFFFFFF)
"""Both ways in which SMPL files write that the root has no parent."""


class SmplFileError(ValueError):
    """The file is not an SMPL model that can be converted; the message says where and why."""


class ChumpyArray:
    """Stands in for chumpy's array classes: holds their state and turns into a plain array."""

    def __init__(self, *_):
        self.state = {}

    def __setstate__(self, state):
        self.state = state if isinstance(state, dict) else {}

    def array(self):
        if "x" in self.state:
            return plain(self.state["x"])
        if "a" in self.state and "idxs" in self.state:
            values = np.asarray(plain(self.state["a"])).reshape(-1)[np.asarray(self.state["idxs"], np.int64)]
            shape = self.state.get("preferred_shape")
            return values if shape is None else values.reshape(shape)
        raise SmplFileError("holds a chumpy object that is neither an array nor a selection from one")


def plain(value):
    """A dense numpy array of an array, a sparse matrix or a chumpy stand-in."""
    if isinstance(value, ChumpyArray):
        return value.array()
    if sparse.issparse(value):
        return value.toarray()
    if isinstance(value, np.ndarray) and value.dtype == object and value.shape == ():
        return plain(value.item())
    return np.asarray(value)


class ArrayUnpickler(pickle.Unpickler):
    """Builds arrays and nothing else."""

    ARRAY_MODULES = {"numpy", "numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric",
                     "numpy._core.numeric"}
    ARRAY_NAMES = {"ndarray", "dtype", "_reconstruct", "scalar", "_frombuffer"}
    SPARSE_NAMES = {f"{layout}_{kind}" for layout in ("csc", "csr", "coo") for kind in ("matrix", "array")}
    PLAIN = {("copyreg", "_reconstructor"), ("copy_reg", "_reconstructor"), ("builtins", "object"),
             ("__builtin__", "object"), ("_codecs", "encode")}

    def find_class(self, module, name):
        if module.split(".")[0] == "chumpy":
            return ChumpyArray
        if module.startswith("scipy.sparse") and name in self.SPARSE_NAMES:
            return getattr(sparse, name)
        if (module in self.ARRAY_MODULES and name in self.ARRAY_NAMES) or (module, name) in self.PLAIN:
            return super().find_class(module.replace("numpy.core", "numpy._core"), name)
        raise SmplFileError(f"names `{module}.{name}`, which is no array; refused")


def unpickle(stream):
    return ArrayUnpickler(stream, encoding="latin1").load()


def read_arrays(path):
    """Name to value of everything we use in an .npz or .pkl, not yet checked."""
    if path.suffix not in SUFFIXES:
        raise SmplFileError(f"is no SMPL file: expected a name that ends in {' or '.join(SUFFIXES)}")
    if path.suffix == ".pkl":
        with path.open("rb") as stream:
            content = unpickle(stream)
        if not isinstance(content, dict):
            raise SmplFileError(f"holds a {type(content).__name__}, expected a dictionary of arrays")
        return content
    content = {}
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        for key in (key for key in KEYS + OPTIONAL if f"{key}.npy" in names):
            with archive.open(f"{key}.npy") as stream:
                content[key] = read_npy(stream)
    return content


def read_npy(stream):
    """One .npy member; object arrays (pickled inside) go through `ArrayUnpickler`."""
    version = np.lib.format.read_magic(stream)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    _, _, dtype = read_header(stream)
    if dtype.hasobject:
        return unpickle(stream)
    stream.seek(0)
    return np.lib.format.read_array(stream, allow_pickle=False)


def numeric(content, key, shape):
    """The array `key` as f64, its shape (None = any size) and values checked."""
    value = plain(content[key])
    if value.dtype.kind not in "fiu":
        raise SmplFileError(f"`{key}` has type {value.dtype}, expected numbers")
    fits = value.ndim == len(shape) and all(want in (None, have) for want, have in zip(shape, value.shape))
    if not fits:
        wanted = ", ".join("any" if want is None else str(want) for want in shape)
        raise SmplFileError(f"`{key}` has shape {list(value.shape)}, expected [{wanted}]")
    if value.size == 0:
        raise SmplFileError(f"`{key}` is empty")
    if not np.isfinite(value).all():
        raise SmplFileError(f"`{key}` has {int((~np.isfinite(value)).sum())} values that are not finite")
    return value.astype(float)


def check_indices(value, key, below):
    """The values of `value` as integers in 0..below."""
    whole = value.astype(np.int64)
    if (whole != value).any() or whole.min() < 0 or whole.max() >= below:
        raise SmplFileError(f"`{key}` has values outside 0 to {below - 1}")
    return whole


def read_smpl(path):
    """Checked arrays: v_template, shapedirs [V, 3, 10], J_regressor, weights, parents, f and maybe posedirs."""
    try:
        content = read_arrays(path)
        missing = [key for key in KEYS if key not in content]
        if missing:
            raise SmplFileError(f"lacks {', '.join(f'`{key}`' for key in missing)}")
        return checked(content)
    except SmplFileError as error:
        raise SmplFileError(f"{path}: {error}") from None
    except OSError as error:
        raise SmplFileError(f"{path}: {error.strerror or error}") from None
    except Exception as error:  # a damaged pickle or archive may raise anything
        raise SmplFileError(f"{path}: cannot be read ({type(error).__name__}: {error})") from None


def checked(content):
    tree = numeric(content, "kintree_table", (2, None))
    count = tree.shape[1]
    if count != len(JOINTS):
        raise SmplFileError(f"`kintree_table` has {count} joints, expected {len(JOINTS)} (SMPL; not SMPL-H or SMPL-X)")
    if tree[0, 0] not in ROOT_PARENTS:
        raise SmplFileError(f"`kintree_table` gives the root parent {tree[0, 0]:.0f}, expected none (-1 or 2^32-1)")
    parents = np.r_[-1, check_indices(tree[0, 1:], "kintree_table", count)]
    if (parents[1:] >= np.arange(1, count)).any():
        raise SmplFileError("`kintree_table` has a joint before its parent")

    template = numeric(content, "v_template", (None, 3))
    vertices = len(template)
    shapedirs = numeric(content, "shapedirs", (vertices, 3, None))
    if shapedirs.shape[2] < BETAS:
        raise SmplFileError(f"`shapedirs` has {shapedirs.shape[2]} components, expected at least {BETAS}")
    weights = numeric(content, "weights", (vertices, count))
    if weights.min() < -1e-6 or np.abs(weights.sum(1) - 1).max() > 1e-3:
        raise SmplFileError("`weights` has a row that is negative or does not sum to 1")
    out = {
        "v_template": template,
        "shapedirs": shapedirs[:, :, :BETAS],
        "J_regressor": numeric(content, "J_regressor", (count, vertices)),
        "weights": np.maximum(weights, 0) / np.maximum(weights, 0).sum(1, keepdims=True),
        "parents": parents,
        "f": check_indices(numeric(content, "f", (None, 3)), "f", vertices),
    }
    if "posedirs" in content:
        out["posedirs"] = numeric(content, "posedirs", (vertices, 3, 9 * (count - 1)))
    return out
