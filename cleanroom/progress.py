"""How far long work has come, as `modelling.progress` has it, for the rooms' own work."""

from __future__ import annotations

from ..modelling.progress import Progress as Progress
from ..modelling.progress import quietly as quietly
