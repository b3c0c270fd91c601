"""What Hydra loads from Kindling at every start: the resolvers of conf/config.yaml, and further config folders."""

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

from kindling.cli.conf import FOLDERS
from kindling.cli.resolvers import register_resolvers

register_resolvers()  # Hydra loads its plugins in every process


class OwnFolders(SearchPathPlugin):
    """Adds the conf folders of optional parts of the package, such as lectures/conf."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for folder in FOLDERS[1:]:
            search_path.append("kindling", f"file://{folder}")
