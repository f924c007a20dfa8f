"""Files of published datasets: find, download and verify them."""

from __future__ import annotations

import hashlib
import itertools
import os
import sys
from pathlib import Path
from typing import NamedTuple

from ..paths import IN_CHECKOUT, ROOT

__all__ = ["KNOWN_FILES", "KnownFile", "cache_folder", "file_hash", "find_file"]


class KnownFile(NamedTuple):
    """Where a published file comes from, and its hash: `algorithm` is "sha256" or "git" (git's id of a blob).

    An empty `digest` says that we never had the file: it isn't downloaded, and is taken from its place unverified.
    """

    url: str
    algorithm: str
    digest: str


def _known(origin: str, path: str, digest: str) -> KnownFile:
    """A file of the repository `origin` = OWNER/NAME/raw/COMMIT; a git blob id has 40 digits, SHA-256 64."""
    return KnownFile(f"https://github.com/{origin}/{path}", "git" if len(digest) == 40 else "sha256", digest)


_ADL = (
    "jd0710/Analysis_Dictionary_Learning_An_Efficient_and_Discriminative_Solution"
    "/raw/7ce92e97984d90693791252149f9f27439e2b504"
)
_CELT = "scutbioinformatics/CELT/raw/3a66b240d7957e7b6dfbe52ba26d0f41f55255a7"
_DMSC = "mahdiabavisani/Deep-multimodal-subspace-clustering-networks/raw/6f8a811ba8c9f5dd898ed25f976bcaca34c71b3a"
_DSC = "panji1990/Deep-subspace-clustering-networks/raw/4aa83542b8832c2b4586a53aee2c351bc8faf5c0"
_DSC_WEIGHTS = "XifengGuo/DSC-Net/raw/021949baa55aaed0d66955f61760e2185771a608/pretrained_weights_original"
_DSE_FDMC = "myliu2048/DSE-FDMC/raw/b78d8506cad427013f1bce9ee13daf5ed6e62241"
_DMSC_UDL = "IMKBLE/DMSC-UDL/raw/7e1b0776799355dd28db80ad29695f2d6565d0cb"
_MNIST = (
    "ljw-struggle/Research-MultiViewLearning-Private/raw/b3bb1a66a522a3c17a14f1dd528b5a984ebc4e29"
    "/_algorithm/RepresentationLearning/DEC_/data/MNIST/raw"
)
_MULTIVIEW = "zhou572/Multi-view-Datasets/raw/da48f8bf4270c73d57c814a470fcd5fb16d757db"
_MULTIVIEW_2 = "ChuanbinZhang/Multi-view-datasets/raw/03ead31e6538322e4e0701c3c28a01595c1a015d"
_SDSNE = "kunzhan/SDSNE/raw/8566a0f4fa5dc9aaaafbb63073ceffad5f4848a0"

# fmt: off
KNOWN_FILES = {  # by their paths in the folder of the data
    "BDGP.mat": _known(
        _CELT, "BDGP.mat", "dd53d29ad7cfd3adf4caf5203f51387b97981d60cd427798acfe1f2481363e11"),
    "COIL20.mat": _known(
        _DSC, "Data/COIL20.mat", "2a35c105dbb327492b90389e55612bcbf39187bc7c408252239903e4ce7d6958"),
    "COIL100.mat": _known(
        _DSC, "Data/COIL100.mat", "c1e6f5ef36341a29a770bc0086edc19ad9272124"),
    "EYB_fc.mat": _known(
        _DMSC, "Data/EYB_fc.mat", "34bb6b4b7ddb5aa640313db4a24f637ca1c9454d"),
    "MNIST_USPS.mat": _known(
        _DSE_FDMC, "data/MNIST_USPS.mat", "0130ae9ce7d395543df841d25e84d99354dcb77993006d390d3c42d4c2e3f056"),
    "ORL_32x32.mat": _known(
        _DSC, "Data/ORL_32x32.mat", "c30cb53be2cab2da293eaeb35c1a7c16cad513fa14d0400ad5ed51f03e1ce7c8"),
    "YaleB_48x42.mat": _known(
        _ADL, "YaleB.mat", "d012653063bcebaaa7be4f2b44270479dee51079dddbd92a3c52f2b3729dacfa"),
    "fm_2000_edge_ori.mat": _known(
        _DMSC_UDL, "Fashion-MNIST-2/rand/fm_2000_edge_ori.mat", ""),
    "t10k-images-idx3-ubyte.gz": _known(
        _MNIST, "t10k-images-idx3-ubyte.gz",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
    "t10k-labels-idx1-ubyte.gz": _known(
        _MNIST, "t10k-labels-idx1-ubyte.gz",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
    "multiview/HW2sources.mat": _known(
        _MULTIVIEW, "HW2sources.mat", "a888aaf7a582513790340861222346f5b66b071a6fa3c8a370656ba0343ae925"),
    "multiview/NGs.mat": _known(
        _MULTIVIEW, "NGs.mat", "9100c95e9cbf8d793c2139ee29b3d1e95330cc6007ade321c05262ee030554c9"),
    "multiview/MSRC-v5.mat": _known(
        _MULTIVIEW_2, "MSRC-v5.mat", "3b3adfad0b4e484cef1c1ecd64ec887ddde9f7655ed638e2fee1f047ae2c9ff0"),
    "multiview/3Sources.mat": _known(
        _MULTIVIEW_2, "3Sources.mat", "8a94f0e554c5782bc87561314f1bad8ca206910125734f4dbe2492956528c9ae"),
    "multiview/Handwritten.mat": _known(
        _MULTIVIEW_2, "Handwritten.mat", "6092a69891afa22785bffd5a4348f52d49a764aa5d40751ec2c4dc0f6ed48a44"),
    "multiview/bbcsport_2view.mat": _known(
        _SDSNE, "data/bbcsport_2view.mat", "b0a09b60a3a81ad430ff49b2dfcc2abbd5c8969b33444cc05ee3f82e2f126fc7"),
    "dsc_weights/orl.pkl": _known(
        _DSC_WEIGHTS, "orl.pkl", "18b5aee470e9b26dcc2de5a81b8cf725c60654ef69ec7c2375e4641c4202ea7e"),
    "dsc_weights/coil20.pkl": _known(
        _DSC_WEIGHTS, "coil20.pkl", "3d33dc1e8ee7b032fc0cab883e4c4b2312861418f57be5ac8e22e5fe38cff194"),
    "dsc_weights/yaleb.pkl": _known(
        _DSC_WEIGHTS, "yaleb.pkl", "7700a23a02b1ca1935734b01538f8871478cb2ff9ac6b96070873cf15f8e4c71"),
}
# fmt: on


def cache_folder() -> Path:
    """Folder that downloads go to: `data/` of a checkout of the repository, else a cache of the user's."""
    if IN_CHECKOUT:
        return ROOT / "data"
    import pooch  # not at the top: in a notebook it warns of widgets that nobody needs

    return Path(pooch.os_cache("dmsc"))


def file_hash(path: str | Path, algorithm: str = "sha256") -> str:
    """Hexadecimal SHA-256 of a file, or with `algorithm="git"` what `git hash-object` says."""
    if algorithm != "git":
        import pooch

        return pooch.file_hash(str(path), alg=algorithm)
    content = Path(path).read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def find_file(name: str) -> Path:
    """Path of a published file: from the folder DMSC_DATA, from the cache folder, or freshly downloaded.

    Parameters
    ----------
    name : str
        One of `KNOWN_FILES`.

    Returns
    -------
    pathlib.Path
        The file, its hash verified if one is known.

    Raises
    ------
    FileNotFoundError
        If the file is in neither folder and can't be downloaded, or DMSC_DATA names no folder: put the file where the
        message says.
    ValueError
        If the file's hash is wrong. A file in the folder DMSC_DATA is left where it is; one in the cache folder or
        freshly downloaded is renamed to NAME.refused.
    """
    if name not in KNOWN_FILES:
        raise ValueError(f"unknown file {name!r}; known files: {', '.join(KNOWN_FILES)}")
    known = KNOWN_FILES[name]
    if os.environ.get("DMSC_DATA"):
        folder = Path(os.environ["DMSC_DATA"]).expanduser()
        if not folder.is_dir():
            raise FileNotFoundError(f"DMSC_DATA must name an existing folder, got {str(folder)!r}")
        path = folder / name
        if path.is_file():
            if wrong := _what_is_wrong(path, known):
                raise ValueError(f"{wrong}. Remove or replace the file")
            return path
    path = cache_folder() / name
    if not path.is_file():
        _download(name, path, known)
    if wrong := _what_is_wrong(path, known):
        endings = itertools.chain([".refused"], (f".refused.{i}" for i in itertools.count(1)))
        aside = next(p for p in (path.with_name(path.name + ending) for ending in endings) if not p.exists())
        path.rename(aside)
        raise ValueError(f"{wrong}. It was set aside as {aside.name}; try again")
    return path


def _download(name: str, path: Path, known: KnownFile) -> None:
    """Fetch a file, under a temporary name until it is whole. Its hash is the caller's: pooch knows none of git's."""
    if not known.digest:
        raise FileNotFoundError(
            f"{name} isn't here, and isn't downloaded because no hash of it is known that could vouch for it. Get it "
            f"from {known.url} and put it at {path}, or at {name} in a folder that the environment variable "
            "DMSC_DATA names"
        )
    import pooch

    pooch.get_logger().setLevel("WARNING")  # or it announces every step
    try:
        pooch.retrieve(known.url, None, path.name, path.parent, progressbar=sys.stderr.isatty())
    except OSError as error:
        raise FileNotFoundError(
            f"{name} isn't here and couldn't be downloaded from {known.url} (expected {known.algorithm} "
            f"{known.digest}). Put the file at {path}, or at {name} in a folder that the environment variable "
            f"DMSC_DATA names. Cause: {type(error).__name__}: {str(error)[:200]}"
        ) from None


def _what_is_wrong(path: Path, known: KnownFile) -> str:
    """Say that a file isn't the published one, or nothing."""
    if not known.digest:
        return ""
    digest = file_hash(path, known.algorithm)
    if digest == known.digest:
        return ""
    return (
        f"{path} isn't the published file (damaged, cut short or changed): expected {known.algorithm} "
        f"{known.digest}, found {digest}"
    )
