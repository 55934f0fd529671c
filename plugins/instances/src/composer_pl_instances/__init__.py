"""composer-pl condition: instance shapes and categories."""

from composer_pl_instances.plugin import Instances

__all__ = ["Instances"]
