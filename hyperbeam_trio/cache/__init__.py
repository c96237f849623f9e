"""Messages in a store (spec/04 §6, §12): written in one batch, read by key, checked, never stale.

`Cache` is what the node uses. `record` is the form of stored messages, `layout` where they lie,
`staging.entries` what a store has to hold for a value, `verify`, `copy` and `collect` the care.
"""

from hyperbeam_trio.cache.reading import Loaded
from hyperbeam_trio.cache.record import MISSING, Missing
from hyperbeam_trio.cache.results import Cache, StoredResult
from hyperbeam_trio.cache.staging import BLOB_BYTES

__all__ = ["BLOB_BYTES", "MISSING", "Cache", "Loaded", "Missing", "StoredResult"]
