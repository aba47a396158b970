"""A system in words: one frozen, typed model per part, read strictly from YAML."""

from contrastcxr.config.parts import DataConfig as DataConfig
from contrastcxr.config.parts import OptimizerConfig as OptimizerConfig
from contrastcxr.config.parts import ScheduleConfig as ScheduleConfig
from contrastcxr.config.parts import ScheduledSamplingConfig as ScheduledSamplingConfig
from contrastcxr.config.parts import SystemConfig as SystemConfig
from contrastcxr.config.parts import without_folders as without_folders
from contrastcxr.config.parts import without_places as without_places
from contrastcxr.config.reading import load_config as load_config
from contrastcxr.config.reading import parse_config as parse_config
from contrastcxr.config.reading import read_with_parents as read_with_parents
from contrastcxr.config.reading import with_search as with_search
