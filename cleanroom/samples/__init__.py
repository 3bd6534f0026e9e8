"""Files that a publisher and an advertiser could have on disk, for the demo and for trying things out.

`generated` invents people; `telco` hands out a real, published data set. Both give a `Sample`.
"""

from .sample import Column, Sample

__all__ = ["Column", "Sample"]
