"""JSON that describes a model, read strictly."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from lurcher.errors import ModelError, ModelNotFound

Description = TypeVar("Description", bound=BaseModel)


def read_description(folder: Path, name: str, kind: type[Description], what: str) -> Description:
    """The ``kind`` that the file ``name`` in ``folder`` holds; ``what`` is "an encoder", for errors.

    Raises ModelNotFound where there is none, ModelError where it cannot be used.
    """
    file = folder / name
    try:
        text = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        reason = f"it has no {name}" if folder.is_dir() else "no such folder"
        raise ModelNotFound(f"{folder}: not {what}: {reason}") from None
    except OSError as error:
        raise ModelError(f"{file}: cannot be read: {error.strerror}") from error
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'the file'}: {fault['msg']}"
            for fault in error.errors()
        )
        raise ModelError(f"{file}: not {what}'s configuration: {faults}") from error
