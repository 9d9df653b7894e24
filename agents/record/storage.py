"""Datasets in Minari's form (extra "datasets"): whole or absent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kvgym import _atomic

from .episode import Log

EXTRA = 'datasets need the extra "datasets": pip install "kvgym[datasets]", in a checkout -e ".[datasets]"'


def place_of(dataset_id: str) -> Path:
    """Folder of a dataset that is to be written, below MINARI_DATASETS_PATH or ~/.minari/datasets.

    Raises:
        ValueError: If Minari is not installed, the id is none of Minari's, or there is such a dataset already.
    """
    try:
        import h5py  # noqa: F401  Minari imports it late, when an episode has been played
        from minari.dataset.minari_dataset import parse_dataset_id
        from minari.storage.datasets_root_dir import get_dataset_path
    except ImportError as error:
        raise ValueError(f"{EXTRA} ({error})") from error
    try:
        parse_dataset_id(dataset_id)
    except (ValueError, TypeError) as error:
        raise ValueError(f"--id must be as in kvgym/gsp-stable/random-v0, got {dataset_id!r}") from error
    folder: Path = get_dataset_path(dataset_id)
    if folder.exists():
        raise ValueError(f"--id {dataset_id}: there is such a dataset already, in {folder}; give another --id")
    return folder


def write(dataset_id: str, env: Any, episodes: Iterable[Log], metadata: Mapping[str, Any]) -> Path:
    """Writes a dataset, an episode at a time; if anything is raised meanwhile, nothing is left of it.

    Args:
        dataset_id: Id for `minari.load_dataset`.
        env: The environment that the episodes are of.
        episodes: The episodes.
        metadata: What stands in the dataset's metadata beside Minari's own.

    Raises:
        ValueError: See `place_of`.
    """
    folder = place_of(dataset_id)
    import minari
    from minari.data_collector import EpisodeBuffer
    from minari.dataset.minari_dataset import parse_dataset_id
    from minari.dataset.minari_storage import MinariStorage
    from minari.namespace import create_namespace, list_local_namespaces

    with _atomic.replacing(folder) as temporary:
        # Minari takes any folder with "data" in it for a dataset: this one gets that name when all is there.
        part = temporary / "part"
        part.mkdir(parents=True)
        storage = MinariStorage.new(
            part, env.observation_space, env.action_space, env_spec=env.spec, data_format="hdf5"
        )
        storage.update_metadata({"dataset_id": dataset_id, "minari_version": minari.__version__, **metadata})
        for number, one in enumerate(episodes):
            fields = {name: value for name, value in vars(one).items() if name != "facts"}
            storage.update_episodes([EpisodeBuffer(**fields)])
            storage.update_episode_metadata([one.facts], [number])
        part.rename(temporary / "data")
    namespace, _, _ = parse_dataset_id(dataset_id)
    if namespace is not None and namespace not in list_local_namespaces():
        create_namespace(namespace)
    return folder
