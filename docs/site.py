"""What mkdocs calls while it makes the site: which files it has, and that it loads nothing from elsewhere.

The site has the repository's layout and not that of docs/ alone: a link from a page to a model's card or to a
source file then works on a code host and on the site as it is written.
"""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
_PAGES = ("*.md", "docs/*.md", "docs/*/*.md", "models/pretrained/**/*.md")
_LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
# What a browser would fetch by itself; a link that a reader follows is not.
_LOADED = re.compile(
    r"<(?:script|img|iframe|link rel=\"(?:stylesheet|preconnect)\")[^>]*\"(?:https?:)?//[^>]*>"
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Return the theme's files, every page of the repository, and the files that pages link to."""
    pages = {page for pattern in _PAGES for page in ROOT.glob(pattern)}
    linked = {
        (page.parent / link).resolve()
        for page in pages
        for link in _LINK.findall(page.read_text(encoding="utf-8"))
    }
    of_theme = [file for file in files if file.src_dir != config.docs_dir]
    ours = [
        File(str(path.relative_to(ROOT)), str(ROOT), config.site_dir, config.use_directory_urls)
        for path in sorted(pages | linked)
        if path.is_file()  # mkdocs itself says which page has a link to nothing
    ]
    return Files([*of_theme, *ours])


def on_post_build(config: MkDocsConfig) -> None:
    """Raise PluginError if a page of the site loads anything from another host."""
    for page in sorted(Path(config.site_dir).rglob("*.html")):
        if found := _LOADED.search(page.read_text(encoding="utf-8")):
            raise PluginError(f"{page}: loads from another host: {found[0]}")
