"""Objects by "module:name", a form that any process can look up."""

from importlib import import_module
from typing import Any


def load(argument: str, place: str) -> Any:
    """The object at "module:name"; the module is imported as by `import module`, the name may have dots.

    Args:
        argument: Name of the argument, for messages.
        place: "module:name".

    Raises:
        ValueError: If there is no such module, or nothing of that name in it. Whatever else goes wrong while the module
            is imported is raised as it is.
    """
    module, _, name = place.partition(":")
    is_file = module.endswith(".py")
    if is_file or not all(part.isidentifier() for part in (*module.split("."), *name.split("."))):
        hint = " (the module as in `import`, without a folder and .py)" if is_file else ""
        raise ValueError(f'{argument} must be "module:name"{hint}, got {place!r}')
    try:
        found: Any = import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # the module is there; it is itself that misses another one
        raise ValueError(
            f"{argument} {place!r}: there is no module {error.name!r} in the folders that Python imports from"
        ) from error
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise ValueError(f"{argument} {place!r}: module {module!r} has no {name!r}") from None
    return found
