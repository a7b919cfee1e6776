"""Pictures as inputs: standardised pixels, convolutions at the start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from chainrule import nn
from chainrule.data import ImageSet, PixelEncoder, TargetEncoder, load, read_images
from chainrule.data.images import holds_pictures
from chainrule.data.picture_files import SUFFIXES
from chainrule.data.targets import Target
from chainrule.frames import DataSource, Frame
from chainrule.ir import Array
from chainrule.job.config import Config
from chainrule.job.inputs.encoder import Activation, LabelledEncoder, Listing, Sample
from chainrule.language import Phrase


@dataclass(frozen=True)
class PictureEncoder(PixelEncoder, LabelledEncoder[ImageSet]):
    """Pictures of one size, from a folder, an IDX file or an .npz file."""

    kind: ClassVar[str] = "pixels"
    data: ClassVar[type] = ImageSet
    noun: ClassVar[str] = "pictures"
    examples: ClassVar[str] = "a folder of pictures, an IDX file or an .npz file"
    settings: ClassVar[frozenset[str]] = frozenset({"image_size"})
    suffixes: ClassVar[frozenset[str]] = SUFFIXES
    begins_with: ClassVar[str] = "convolutions"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """See `Encoder`."""
        return holds_pictures(path)

    @classmethod
    def read(cls, source: DataSource, config: Config) -> ImageSet:
        """See `Encoder`."""
        size = None if config.image_size is None else (config.image_size[0], config.image_size[1])
        data = load(source, config.target, image_size=size)
        assert isinstance(data, ImageSet)
        return data

    @classmethod
    def summary(cls, data: ImageSet) -> list[str | Listing]:
        """See `Encoder`."""
        count, *size = data.X.shape
        _, *rest = super().summary(data)
        return [f"{count:,} pictures of {' × '.join(map(str, size))} (channels, height, width).", *rest]

    @classmethod
    def fit_inputs(cls, data: ImageSet, target: TargetEncoder, rows: Array, config: Config) -> Self:
        """See `Encoder`."""
        return cls.fit(data, rows)

    def read_again(
        self,
        source: DataSource,
        target: TargetEncoder | None,
        keep: Sequence[str],
        said: Mapping[str, str],
        facts: Mapping[str, Any],
    ) -> ImageSet:
        """See `Encoder`."""
        assert not isinstance(source, Frame)  # see `encoder_for`
        size = (self.height, self.width) if Path(source).is_dir() else None
        return read_images(source, size, channels=self.channels, labelled=target is not None)

    @property
    def shape(self) -> tuple[int, ...]:
        """See `Encoder`."""
        return self.channels, self.height, self.width

    def layers(self, activation: Activation) -> tuple[list[nn.Module], int]:
        """Two convolutions, each followed by pooling while the picture is large enough."""
        channels, height, width = self.shape
        layers: list[nn.Module] = []
        for filters in (16, 32):
            layers += [nn.Conv2d(channels, filters, 3, padding="same"), activation()]
            channels = filters
            if min(height, width) >= 4:
                layers.append(nn.MaxPool2d(2))
                height, width = height // 2, width // 2
        return [*layers, nn.Flatten()], channels * height * width

    def used_settings(self, target: Target) -> dict[str, Any]:
        """See `Encoder`."""
        return {"image_size": (self.height, self.width)}

    def description(self) -> Phrase:
        """See `Encoder`."""
        size = " × ".join(map(str, self.shape))
        return f"Every row is a picture: {size} (channels, height, width).", f"每行是一张图片：{size}（通道、高、宽）。"

    def line(self) -> str:
        """See `Encoder`."""
        colour = {1: "grey", 3: "colour"}.get(self.channels, f"{self.channels} channels")
        return f"Pictures: {self.height} × {self.width} (height × width), {colour}."

    def sample(self, row: Array) -> Sample:
        """See `Encoder`."""
        return Sample(picture=row)
