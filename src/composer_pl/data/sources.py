"""A source by its configuration: which folder, which layout, how often its pictures are shown."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from composer_pl.data.class_folder import DEFAULT_TEMPLATE, SPLIT_FOLDERS, list_class_folders
from composer_pl.data.coco import is_coco_root, list_coco
from composer_pl.data.folder import list_folder
from composer_pl.data.records import FoundFiles, SourceListing, find_files, require_pictures
from composer_pl.data.scenes.source import SceneConfig, SceneSource
from composer_pl.errors import ConfigError

SourceKind = Literal["auto", "folder", "classes", "coco", "scenes"]


@dataclass(frozen=True, kw_only=True)
class SourceConfig:
    """One source of pictures.

    Attributes:
        root: Folder that holds the pictures; "scenes" needs none.
        kind: Layout of the folder: "folder" (x.jpg with x.txt beside it), "classes" (one folder a
            class, its name is the caption), "coco", or "auto" to find out; or "scenes", which are
            rendered as they are needed.
        split: Part of the source: `train`, `val`, `val2014`... for COCO (empty means train, or
            val where that alone is there), a folder above the classes for class folders.
        weight: How often each picture is shown in an epoch; 2 shows all twice, 0.5 half of them.
        caption_template: Caption of class folders, with {name} where the class goes.
        class_names: File that maps class folders (WordNet ids, say) to names.
        scenes: Which scenes to render; None takes the default ones.
    """

    root: str = ""
    kind: SourceKind = "auto"
    split: str = ""
    weight: float = 1.0
    caption_template: str = DEFAULT_TEMPLATE
    class_names: str | None = None
    scenes: SceneConfig | None = None

    def __post_init__(self) -> None:
        """Refuse a source without a folder, and a weight that is not positive."""
        if (self.kind == "scenes") == bool(self.root):
            raise ConfigError(
                "Preparing data: expected a source to have either a root or the kind 'scenes', "
                f"found kind {self.kind!r} and root {self.root!r}. Next: correct data.sources."
            )
        if self.scenes is not None and self.kind != "scenes":
            raise ConfigError(
                f"Preparing data: expected `scenes` in a source of the kind 'scenes' only, found "
                f"it in one of the kind {self.kind!r}. Next: correct data.sources."
            )
        if not 0 < self.weight < float("inf"):
            raise ConfigError(
                f"Mixing the source {self.name}: expected a positive weight, found {self.weight}. "
                "Next: correct it, or leave the source out."
            )

    @property
    def name(self) -> str:
        """How messages call the source."""
        return self.root or f"scenes of seed {(self.scenes or SceneConfig()).seed}"


def list_source(config: SourceConfig) -> SourceListing:
    """List the pictures of one source.

    Raises:
        UserInputError: When the folder holds no pictures or cannot be read as `config.kind`.
    """
    if config.kind == "scenes":
        return SceneSource(config.scenes or SceneConfig()).listing()
    root = Path(config.root).expanduser()
    found = find_files(root)
    kind = detect_kind(found) if config.kind == "auto" else config.kind
    if kind == "coco":
        return list_coco(found, config.split)
    if kind == "folder":
        if config.split:
            found = find_files(root / config.split)
        return list_folder(found)
    class_names = Path(config.class_names).expanduser() if config.class_names else None
    return list_class_folders(
        found, config.split, template=config.caption_template, class_names=class_names
    )


def detect_kind(found: FoundFiles) -> Literal["folder", "classes", "coco"]:
    """Find out the layout of a folder.

    COCO has its annotation files, or its folders of photos. A picture at the top, or a text beside
    any picture, makes it a folder with captions. Otherwise pictures in two or more folders are
    classes.

    Raises:
        UserInputError: When there is no picture.
    """
    if is_coco_root(found):
        return "coco"
    require_pictures(found)
    stems = {os.path.splitext(name)[0] for name in found.pictures}
    if any(os.path.splitext(name)[0] in stems for name in found.captions):
        return "folder"
    tops = {name.split("/")[0] if "/" in name else "" for name in found.pictures}
    if "" in tops or (len(tops) == 1 and not tops <= set(SPLIT_FOLDERS)):
        return "folder"
    return "classes"
