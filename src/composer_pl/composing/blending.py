"""Parts on the way from one picture's to another's, each as its condition goes."""

from composer_pl.composing.composer import Composer
from composer_pl.composing.parts import Parts
from composer_pl.composing.provenance import refuse_strangers
from composer_pl.errors import UserInputError
from composer_pl.plugin.values import to_value_size


def parts_between(
    composer: Composer,
    first: Parts,
    second: Parts,
    share: float,
    *,
    size: tuple[int, int],
    task: str,
    straight: bool = False,
) -> Parts:
    """Parts a share of the way from some to others with the same names.

    Args:
        composer: Whose conditions they are.
        first: At share 0; exactly there.
        second: At share 1; exactly there.
        share: In 0..1.
        size: Height and width of the pictures, to whose grid maps are brought before they mix.
        task: For messages.
        straight: See `ConditionPlugin.interpolate`.

    Raises:
        UserInputError: Two values have different shapes.
        RepresentationError: One of them was extracted with something else than the model knows.
    """
    # Held against the model here, as what is mixed of both carries the facts of one.
    for parts in (first, second):
        refuse_strangers(parts, composer.model.plugins, composer.decomposer.plugins)
    if share in (0, 1):
        return second if share else first
    values, notes = {}, {}
    target = composer.model.value_size(*size)
    for name in first:
        plugin = composer.model.plugins[name]
        one, two = first[name][None], second[name][None]
        if plugin.scope == "local":
            one, two = (to_value_size(value, plugin, target) for value in (one, two))
        if one.shape != two.shape or one.dtype != two.dtype:
            raise UserInputError(
                f"Editing by {task}: expected two values of {name!r} of one shape, found "
                f"{tuple(one.shape[1:])} and {tuple(two.shape[1:])}. Next: extract both with this "
                f"model."
            )
        values[name] = plugin.interpolate(one, two, share, straight=straight)[0]
        notes[name] = f"{share:.0%} of the way from {first.notes[name]} to {second.notes[name]}"
    return Parts(values, notes, {name: first.facts[name] for name in values if name in first.facts})
