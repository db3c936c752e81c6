"""Names of files that are plainly no images: documents, tables, programs, archives, films, and Facette's own output.

A folder of images often holds such files. The name alone proves nothing: `pipeline.sources.others` looks at the content
too.
"""

from __future__ import annotations

_OTHER_ENDINGS = frozenset(
    (
        # documents and text
        *("txt", "text", "md", "rst", "rtf", "pdf", "doc", "docx", "odt", "ppt", "pptx", "odp", "tex", "log", "nfo"),
        # tables and data
        *("csv", "tsv", "xls", "xlsx", "ods", "json", "jsonl", "ndjson", "xml", "yaml", "yml", "toml", "ini", "cfg"),
        *("conf", "parquet", "feather", "arrow", "pkl", "pickle", "db", "sqlite", "sqlite3", "sql", "names", "lst"),
        # arrays and models
        *("h5", "hdf5", "hdf", "npy", "npz", "mat", "pt", "pth", "onnx", "pb", "tflite", "ckpt", "keras", "joblib"),
        *("tfrecord", "tfrecords", "record", "lmdb", "mdb"),
        # programs and pages
        *("py", "ipynb", "pyc", "r", "rmd", "m", "c", "h", "cpp", "hpp", "java", "js", "ts", "css", "html", "htm"),
        *("mht", "sh", "bash", "bat", "cmd", "ps1", "exe", "dll", "so", "msi", "url", "lnk", "webloc"),
        # archives and checksums
        *("zip", "tar", "gz", "tgz", "bz2", "xz", "7z", "rar", "zst", "md5", "sha1", "sha256", "sig", "asc", "torrent"),
        # sound and film
        *("mp3", "wav", "flac", "ogg", "m4a", "mp4", "m4v", "mov", "avi", "mkv", "webm", "mpg", "mpeg", "wmv", "srt"),
        # what programs keep beside images
        *("xmp", "aae", "ithmb", "picasa", "bridgesort", "bak", "lock", "parts", "parts-journal"),
    )
)
_OTHER_NAMES = frozenset(
    ("readme", "license", "licence", "copying", "notice", "changelog", "changes", "authors", "contributors", "citation")
) | frozenset(("makefile", "dockerfile", "todo", "version", "manifest", "checksums", "md5sums", "sha256sums"))


def names_another_kind(name: str) -> bool:
    """Tell whether a file's name says that it is no image, such as ``README``, ``labels.csv`` or ``film.mp4``."""
    first, *rest = name.lower().split(".")
    if rest and rest[-1] in _IMAGE_ENDINGS:
        return False
    return first in _OTHER_NAMES or (bool(rest) and rest[-1] in _OTHER_ENDINGS)


_IMAGE_ENDINGS = frozenset(
    ("jpg", "jpeg", "jpe", "jfif", "mpo", "png", "gif", "webp", "tif", "tiff", "bmp", "dib", "ppm", "pgm", "pbm", "pnm")
) | frozenset(("pfm", "avif", "heic", "heif"))


def names_an_image(name: str) -> bool:
    """Tell whether a file has the ending of an image format that can be read."""
    return name.lower().rpartition(".")[2] in _IMAGE_ENDINGS
