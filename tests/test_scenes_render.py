"""Pixels and truth of rendered scenes, held against geometry computed another way."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch

from composer_pl.data.scenes.description import Camera, Scene, SceneObject, Surroundings
from composer_pl.data.scenes.render import render
from composer_pl.data.scenes.rules import SceneRules
from composer_pl.data.scenes.sampler import SceneSampler
from composer_pl.data.scenes.solids import SOLIDS, distance
from composer_pl.data.scenes.truth import instance_classes, instances, near_depth, outlines
from composer_pl.data.scenes.vocabulary import COLORS, MATERIALS, SHAPES, SKIES
from composer_pl.errors import ConfigError

CAMERA = Camera(position=(0.3, 2.0, -6.0), pitch=math.radians(14), half_angle=math.radians(22))


def thing(shape, x, z, *, scale=0.8, rotation=0.4, material="matte", **more):
    return SceneObject(
        shape=shape,
        size="large",
        material=material,
        color="red",
        position=(x, SOLIDS[shape].height * scale, z),
        rotation=rotation,
        scale=scale,
        **more,
    )


def scene_of(*objects, sky="clear", floor="plain"):
    around = Surroundings(
        floor=floor,
        floor_tone=1,
        floor_rotation=0.3,
        floor_scale=1.0,
        sky=sky,
        light=(0.5, 0.7, -math.sqrt(1 - 0.25 - 0.49)),
        clouds=3.0,
    )
    return Scene(seed=0, index=0, objects=objects, camera=CAMERA, surroundings=around)


def pixel_rays(camera, size):
    """Origins and unit directions through the pixels' middles, in float64, by rotation matrix."""
    middle = (np.arange(size) + 0.5) / size * 2 - 1
    u, v = np.meshgrid(middle, -middle)
    local = np.stack([u, v, np.full_like(u, 1 / math.tan(camera.half_angle))], -1)
    c, s = math.cos(camera.pitch), math.sin(camera.pitch)
    turn = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    world = local @ turn.T
    return np.array(camera.position), world / np.linalg.norm(world, axis=-1, keepdims=True)


@pytest.fixture(scope="module")
def sampled():
    sampler = SceneSampler(7)
    return [sampler.scene(i) for i in range(7)]


def test_pixels_do_not_depend_on_the_batch_or_the_block(sampled):
    together = render(sampled, 40)
    pieces = [render(sampled[a:b], 40, block=block) for a, b, block in
              ((0, 1, None), (1, 3, 777), (3, 7, 5003))]  # fmt: skip
    assert torch.equal(together.pixels, torch.cat([p.pixels for p in pieces]))
    assert torch.equal(together.depth, torch.cat([p.depth for p in pieces]))
    assert torch.equal(together.normal, torch.cat([p.normal for p in pieces]))
    for i, scene in enumerate(sampled[:3]):
        alone = render([scene], 40)
        slots = alone.layers.shape[1]
        assert torch.equal(alone.layers[0], together.layers[i, :slots])
        assert not together.layers[i, slots:].any()


def test_depth_of_a_sphere_and_the_floor_is_the_closed_form():
    ball = thing("sphere", 0.1, 0.5)
    found = render([scene_of(ball)], 64)
    origin, direction = pixel_rays(CAMERA, 64)
    offset = origin - np.array(ball.position)
    along = direction @ offset
    inside = along**2 - offset @ offset + ball.scale**2
    with np.errstate(invalid="ignore", divide="ignore"):
        on_ball = -along - np.sqrt(inside)
        on_floor = np.where(direction[..., 1] < 0, -origin[1] / direction[..., 1], np.inf)
    length = np.where(inside > 0, on_ball, on_floor)
    c, s = math.cos(CAMERA.pitch), math.sin(CAMERA.pitch)
    depth = length * (direction @ np.array([0, -s, c]))
    ids = found.ids[0].numpy()
    sure = np.abs(inside) > 1e-3
    assert ((ids == 1) == (inside > 0))[sure].all()
    near = sure & np.isfinite(depth)
    np.testing.assert_allclose(found.depth[0].numpy()[near], depth[near], rtol=3e-4)
    assert np.isinf(found.depth[0].numpy()[~np.isfinite(depth)]).all()
    point = origin + length[..., None] * direction
    normal = (point - np.array(ball.position)) / ball.scale
    seen = found.normal[0].permute(1, 2, 0).numpy()[ids == 1]
    np.testing.assert_allclose(seen, normal[ids == 1], atol=3e-3)


@pytest.mark.parametrize("shape", SHAPES)
def test_hit_points_lie_on_the_solid_and_normals_face_the_camera(shape):
    """Depth is turned back into points with another camera model; the distance there is zero."""
    one = thing(shape, 0.2, 0.3)
    found = render([scene_of(one)], 64)
    origin, direction = pixel_rays(CAMERA, 64)
    c, s = math.cos(CAMERA.pitch), math.sin(CAMERA.pitch)
    length = found.depth[0].double().numpy() / (direction @ np.array([0, -s, c]))
    seen = found.ids[0].numpy() == 1
    assert seen.sum() > 100
    point = (origin + length[..., None] * direction)[seen] - np.array(one.position)
    a, b = math.cos(one.rotation), math.sin(one.rotation)
    local = np.stack(
        [a * point[:, 0] + b * point[:, 2], point[:, 1], a * point[:, 2] - b * point[:, 0]]
    )
    off = distance(shape, torch.from_numpy(local / one.scale).float())
    assert off.abs().max() < 6e-3
    assert off.abs().median() < 2e-4
    facing = (found.normal[0].permute(1, 2, 0).numpy()[seen] * direction[seen]).sum(-1)
    assert facing.max() < 0.05


@pytest.mark.parametrize("shape", SHAPES)
def test_rays_miss_exactly_where_dense_sampling_finds_no_inside(shape):
    one = thing(shape, 0.0, 0.0, scale=0.9)
    # Rays that graze a torus's near rim and then meet its far side are rare: more pixels.
    size = 96 if shape == "torus" else 32
    found = render([scene_of(one)], size, samples=1)
    origin, direction = pixel_rays(CAMERA, size)
    t = np.linspace(4.5, 8, 700)
    point = origin + direction[..., None, :] * t[:, None] - np.array(one.position)
    a, b = math.cos(one.rotation), math.sin(one.rotation)
    local = np.stack(
        [
            a * point[..., 0] + b * point[..., 2],
            point[..., 1],
            a * point[..., 2] - b * point[..., 0],
        ]
    )
    least = distance(shape, torch.from_numpy(local / one.scale).float()).amin(-1).numpy()
    sure = np.abs(least) > 8e-3
    assert ((found.ids[0].numpy() == 1) == (least < 0))[sure].all()


@pytest.mark.parametrize("shape", SHAPES)
def test_distances_change_by_at_most_the_way_gone_and_bounds_hold(shape):
    generator = torch.Generator().manual_seed(1)
    p = torch.randn(3, 4000, generator=generator) * 1.2
    q = p + 0.05 * torch.randn(3, 4000, generator=generator)
    change = (distance(shape, p) - distance(shape, q)).abs()
    assert (change <= (p - q).norm(dim=0) * 1.0001 + 1e-6).all()
    inside = distance(shape, p) < 0
    solid = SOLIDS[shape]
    assert p.norm(dim=0)[inside].max() <= solid.bound
    assert p[[0, 2]].norm(dim=0)[inside].max() <= solid.footprint + 1e-6
    assert p[1][inside].min() >= -solid.height - 1e-6
    bottom = torch.zeros(3, 1601)
    bottom[1] = -solid.height
    bottom[0] = torch.linspace(-1, 1, 1601)
    assert distance(shape, bottom).min().abs() < 2e-3  # it touches the floor it rests on
    if solid.convex:
        middle = distance(shape, (p + q) / 2)
        assert (middle <= (distance(shape, p) + distance(shape, q)) / 2 + 1e-6).all()


def test_every_object_is_in_view_visible_and_apart_from_the_others():
    sampler = SceneSampler(3)
    scenes = [sampler.scene(i) for i in range(200)]
    counts = torch.tensor([len(s.objects) for s in scenes]).bincount(minlength=6)
    assert (counts[1:] > 20).all()
    found = render(scenes, 48, samples=1)
    worst = 1.0
    for i, scene in enumerate(scenes):
        border = torch.cat(
            [found.ids[i, 0], found.ids[i, -1], found.ids[i, :, 0], found.ids[i, :, -1]]
        )
        assert not border.any()
        seen = instances(found, i)
        assert len(seen) == len(scene.objects)
        worst = min(worst, *(instance.visible for instance in seen))
        for a, b in combinations(scene.objects, 2):
            flat = math.hypot(a.position[0] - b.position[0], a.position[2] - b.position[2])
            both = SOLIDS[a.shape].footprint * a.scale + SOLIDS[b.shape].footprint * b.scale
            assert flat > both
    assert worst > 0.2


def test_ids_count_from_the_nearest_and_layers_hold_what_is_hidden():
    front, back = thing("cube", 0.0, -1.0), thing("sphere", 0.2, 1.2, scale=0.9)
    both, alone = render([scene_of(front, back)], 64), render([scene_of(back)], 64)
    whole = both.whole_masks(0)
    assert torch.equal(whole[1], alone.ids[0] == 1)
    overlap = whole[0] & whole[1]
    assert overlap.any()
    assert (both.ids[0][overlap] == 1).all()
    assert (both.layers[0, 1][overlap] == 2).all()
    second = instances(both, 0)[1]
    assert second.visible == pytest.approx(1 - overlap.sum() / whole[1].sum())
    rows, columns = (both.ids[0] == 2).nonzero().T
    left, top, width, height = second.box
    assert (left, top) == (columns.min(), rows.min())
    assert (left + width - 1, top + height - 1) == (columns.max(), rows.max())
    classes = instance_classes(both)
    assert (classes[0][both.ids[0] == 2] == SHAPES.index("sphere")).all()
    assert (classes[0][both.ids[0] == 0] == -1).all()


def test_near_depth_is_the_conditions_convention(sampled):
    depth = render(sampled[:3], 48).depth
    value = near_depth(depth)
    assert value.shape == (3, 1, 48, 48)
    assert value.min() == 0
    assert value.max() == 1
    for one, d in zip(value[:, 0], depth, strict=True):
        inverse = 1 / d
        low, high = torch.quantile(inverse.flatten(), torch.tensor([0.01, 0.99]))
        expected = ((inverse - low) / (high - low)).clamp(0, 1)
        torch.testing.assert_close(one, expected, atol=1e-5, rtol=1e-4)


def test_outlines_run_where_objects_and_edges_end_and_nowhere_else():
    found = render([scene_of(thing("cube", 0.0, 0.0), floor="checked")], 96)
    line, ids = outlines(found)[0, 0].bool(), found.ids[0]
    change = torch.zeros_like(line)
    change[:, :-1] |= ids[:, :-1] != ids[:, 1:]
    change[:-1] |= ids[:-1] != ids[1:]
    assert (line[change]).all()
    inner = line & ~change
    assert inner.any()  # the cube's own edges
    assert (ids[inner] == 1).all()
    ball = render([scene_of(thing("sphere", 0.0, 0.0))], 96)
    line, ids = outlines(ball)[0, 0].bool(), ball.ids[0]
    change[:] = False
    change[:, :-1] |= ids[:, :-1] != ids[:, 1:]
    change[:-1] |= ids[:-1] != ids[1:]
    assert torch.equal(line, change)  # a ball has no edge


def test_a_shadow_falls_away_from_the_light():
    ball = thing("sphere", 0.0, 0.0)
    with_ball = render([scene_of(ball)], 96)
    # The same floor without the ball: it stands far behind the camera.
    away = render([scene_of(thing("sphere", 0.0, -40.0))], 96)
    darker = (away.image - with_ball.image)[0].mean(0)
    light = scene_of(ball).surroundings.light
    share = ball.position[1] / light[1]
    shadow = (ball.position[0] - share * light[0], 0.0, ball.position[2] - share * light[2])
    lit = (ball.position[0] + share * light[0], 0.0, ball.position[2] + share * light[2])
    x, y = (int(v * 96) for v in CAMERA.projected(shadow))
    u, v = (int(v * 96) for v in CAMERA.projected(lit))
    assert darker[y, x] > 0.25 or with_ball.ids[0, y, x] == 1
    floor = with_ball.ids[0] == 0
    assert darker[floor].max() > 0.25
    assert abs(darker[v, u]) < 0.08


def test_antialiasing_changes_only_pixels_near_objects():
    scene = scene_of(thing("cube", 0.0, 0.0), floor="tiled")
    plain, fine = render([scene], 64, samples=1), render([scene], 64, samples=9)
    changed = (plain.pixels != fine.pixels)[0].any(0)
    assert changed.any()
    assert torch.equal(plain.ids, fine.ids)
    rows, columns = changed.nonzero().T
    x, y = CAMERA.projected(scene.objects[0].position)
    assert ((columns / 64 - x).abs() < 0.3).all()
    assert ((rows / 64 - y).abs() < 0.3).all()


@pytest.mark.parametrize("sky", SKIES)
def test_materials_and_colours_can_be_told_apart_under_every_sky(sky):
    pictures = {}
    for material in MATERIALS:
        more = {"pattern": "dots", "second_color": "white"} if material == "patterned" else {}
        one = thing("sphere", 0.0, 0.0, scale=1.2, material=material, **more)
        found = render([scene_of(one, sky=sky)], 48)
        pictures[material] = found.image[0][:, found.ids[0] == 1]
    for a, b in combinations(pictures.values(), 2):
        assert (a - b).abs().mean() > 0.02


def test_colours_are_far_apart():
    from PIL import Image

    names = list(COLORS)
    row = np.array([[COLORS[name] for name in names]])
    lab = Image.fromarray((row * 255).round().astype(np.uint8)).convert("RGB")
    from PIL import ImageCms

    srgb, space = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    values = np.asarray(ImageCms.profileToProfile(lab, srgb, space, outputMode="LAB"))[0]
    values = values.astype(float)
    values[:, 0] *= 100 / 255
    values[:, 1:] = np.where(values[:, 1:] > 127, values[:, 1:] - 256, values[:, 1:])
    for a, b in combinations(range(len(names)), 2):
        assert np.linalg.norm(values[a] - values[b]) > 30, (names[a], names[b])


def test_numbers_out_of_range_are_refused():
    scene = SceneSampler(0, SceneRules(max_objects=1)).scene(0)
    with pytest.raises(ConfigError, match="16 to 2048 pixels, found 8"):
        render([scene], 8)
    with pytest.raises(ConfigError, match="one of 1, 5, 9, found 4"):
        render([scene], 64, samples=4)


@pytest.mark.gpu
def test_a_gpu_gives_the_pixels_of_the_cpu(sampled):
    assert torch.equal(render(sampled, 64, device="cuda").pixels.cpu(), render(sampled, 64).pixels)
