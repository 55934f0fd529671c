"""The tiny encoders: training lowers the loss, and what is saved is read by the plugins."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

pytest.importorskip("composer_pl_caption")
pytest.importorskip("composer_pl_semantics")
pytest.importorskip("composer_pl_depth")


def losses(lines):
    return [float(line.split("loss ")[1].split()[0]) for line in lines]


@pytest.fixture(scope="module")
def clip_file(unseen, tmp_path_factory):
    import clip

    state = clip.train_clip(unseen, steps=1, batch=4, device="cpu", log=lambda line: None)
    return clip.save_clip(state, tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def depth_file(unseen, tmp_path_factory):
    import depth

    state = depth.train_depth(unseen, steps=1, batch=2, device="cpu", log=lambda line: None)
    return depth.save_depth(state, tmp_path_factory.mktemp("depth"))


# -- CLIP ------------------------------------------------------------------------------------------


def test_both_clip_files_are_read_by_their_plugins_and_agree(clip_file, unseen):
    from composer_pl_caption import Caption
    from composer_pl_semantics import Semantics

    both, visual = (str(path) for path in clip_file)
    caption = Caption(model="tiny-scenes", weights_file=both)
    semantics = Semantics(model="tiny-scenes", weights_file=visual)
    assert caption.agreement() == semantics.agreement()
    image = unseen.pixels[:2].float() / 127.5 - 1
    expected = caption.build_extractor().image_embedding(image)
    torch.testing.assert_close(semantics.build_extractor()(image), expected)


def test_token_embeddings_are_zero_where_no_caption_has_the_token(clip_file, unseen):
    import clip

    table = clip.load_clip(clip_file[0])["token_embedding.weight"]
    used = clip.used_tokens(unseen.tokens, len(table))
    assert 0 < used.sum() < 300
    assert not used[0]  # the padding, though it is an ordinary character
    assert torch.equal(table.any(1), used)


def test_made_of_is_the_digest_of_the_state(clip_file):
    import clip

    for path in clip_file:
        with safe_open(path, framework="pt") as file:
            assert file.metadata()["made_of"] == clip.state_digest(clip.load_clip(clip_file[0]))


def test_retrieval_of_an_untrained_clip_is_near_chance_and_never_above_one(clip_file, unseen):
    import clip

    marks = clip.measure_clip(unseen, weights_file=clip_file[0], draws=20)
    assert marks["scenes"] == marks["among"] == 12
    for kind in ("image_to_text", "text_to_image"):
        assert 0 <= marks[f"{kind}_top1"] < 0.5
        assert marks[f"{kind}_top1"] <= marks[f"{kind}_top5"] <= 1


def test_a_text_worded_alike_is_right():
    import clip

    scores = torch.tensor([[0.0, 1.0, 0.5], [0.0, 1.0, 0.5], [1.0, 0.0, 0.5]])
    assert clip._found(scores, torch.tensor([7, 7, 8]), 1) == pytest.approx(2 / 3)
    assert clip._found(scores, torch.tensor([6, 7, 8]), 1) == pytest.approx(1 / 3)
    assert clip._found(scores, torch.tensor([6, 7, 8]), 5) == 1


def test_the_learning_rate_warms_up_and_falls_to_nothing():
    import clip

    factor = clip.warm_cosine(300, 50)
    assert [factor(0), factor(49), factor(50)] == [0.02, 1.0, 1.0]
    assert factor(299) < 1e-3


@pytest.fixture(scope="module")
def taught(unseen):
    """An image tower after a few steps on a dozen scenes, what it said, and the scenes' bank."""
    from bank import build_bank
    from image_tower import ImageTeacher

    from composer_pl_caption import Caption
    from composer_pl_semantics import Semantics

    plugins = {
        "caption": Caption(model="tiny-scenes"),
        "semantics": Semantics(model="tiny-scenes"),
    }
    bank = build_bank(unseen, plugins, torch.zeros(0, 1, 64, 64) > 0, log=lambda line: None)
    teacher = ImageTeacher()
    before = teacher.values(bank)
    told = teacher.train(bank, steps=4, batch=12, lr=1e-4, warmup=1, log=lambda line: None)
    return teacher, before, told, bank


def test_the_shipped_image_tower_is_where_teaching_starts(taught):
    _, before, told, bank = taught
    # The bank's own values are of 128 px brought down; the target is rounded to 8 bits.
    cosine = torch.cosine_similarity(before.float(), bank.fixed["semantics"].float())
    assert cosine.min() > 0.999
    assert (told["steps"], told["batch"]) == (4, 12)
    assert 0 < told["loss"] < 2.48  # log 12: it knows these captions already


def test_teaching_leaves_the_text_tower_and_writes_one_clip(taught, tmp_path):
    import clip
    from image_tower import SHIPPED

    from composer_pl_caption import Caption
    from composer_pl_semantics import Semantics

    teacher, before, _, bank = taught
    both, visual = teacher.save(tmp_path)
    old, new = clip.load_clip(SHIPPED), clip.load_clip(both)
    moved = {name for name in old if not torch.equal(old[name], new[name])}
    assert {name for name in moved if not name.startswith("visual.")} <= {"logit_scale"}
    assert "visual.conv1.weight" in moved
    caption = Caption(model="tiny-scenes", weights_file=str(both))
    semantics = Semantics(model="tiny-scenes", weights_file=str(visual))
    assert caption.agreement() == semantics.agreement()
    values = teacher.values(bank)
    assert not torch.equal(values, before)
    read = semantics.build_extractor()(bank.x_0.float() / 127.5 - 1)
    torch.testing.assert_close(read, values.float(), atol=0.02, rtol=0.01)


@pytest.mark.slow
def test_training_a_clip_lowers_its_loss(unseen):
    import clip

    lines = []
    clip.train_clip(unseen, steps=80, batch=12, device="cpu", lr=1e-3, log=lines.append)
    # Told apart no better than by chance it would be log 12 = 2.48.
    assert losses(lines)[-1] < 2.0


# -- depth -----------------------------------------------------------------------------------------


def test_the_depth_file_is_read_by_the_plugin_and_measured(depth_file, unseen):
    import depth

    marks = depth.measure_depth(unseen, weights_file=depth_file)
    assert marks["scenes"] == 12
    for suffix in ("", "_at_64"):
        assert 0 < marks["error_aligned" + suffix] < 0.5
        assert 0 < marks["error" + suffix] < 1
        assert -1 <= marks["correlation" + suffix] <= 1


def test_aligned_depth_has_no_error_where_scale_and_shift_are_all_that_differs():
    import depth

    target = torch.rand(2, 50)
    aligned, correlation = depth._aligned(0.4 * target + 0.1, target)
    torch.testing.assert_close(aligned, target)
    torch.testing.assert_close(correlation, torch.ones(2))


def test_depth_loss_sees_borders_as_well_as_levels():
    import depth

    target = torch.rand(1, 16, 16)
    assert depth.depth_loss(target, target) == 0
    assert depth.depth_loss(target + 0.1, target).item() == pytest.approx(0.1)
    ramp = torch.linspace(0, 0.1, 16).expand(1, 16, 16)
    assert depth.depth_loss(target + ramp, target) > ramp.mean()


@pytest.mark.slow
def test_training_depth_lowers_its_loss(unseen):
    import depth

    lines = []
    for steps in (1, 15):
        depth.train_depth(unseen, steps=steps, batch=4, device="cpu", log=lines.append)
    assert losses(lines)[-1] < losses(lines)[0]


# -- variations ------------------------------------------------------------------------------------


def test_variations_keep_size_range_and_place(unseen):
    from varied import coarsened, moved, toned

    image = unseen.pixels[:6].float() / 127.5 - 1
    for change in (toned, moved, coarsened):
        out = change(image, torch.Generator().manual_seed(0))
        assert out.shape == image.shape
        assert out.abs().max() <= 1
        assert 0 < (out - image).abs().mean() < 0.15
    still = moved(image, torch.Generator().manual_seed(0), most=0.0)
    torch.testing.assert_close(still, image, rtol=0, atol=1e-4)


# -- installing ------------------------------------------------------------------------------------


@pytest.fixture
def plugins(tmp_path):
    """A copy of the plugins' code, without weights."""
    import install_weights

    for place in install_weights.PLACES:
        inside = Path(place.plugin, "src", place.package, place.module)
        (tmp_path / inside).parent.mkdir(parents=True)
        shutil.copyfile(install_weights.PLUGINS / inside, tmp_path / inside)
    install_weights.blank(tmp_path)
    return tmp_path


def test_installing_copies_weights_and_writes_their_digests(
    plugins, clip_file, depth_file, tmp_path
):
    import install_weights

    source = tmp_path / "encoders"
    source.mkdir()
    for path in (*clip_file, depth_file):
        shutil.copyfile(path, source / path.name)
    (source / "yolo-tiny-scenes-seg.safetensors").write_bytes(depth_file.read_bytes())
    before = {path: path.read_text() for path in plugins.glob("*/src/*/*.py")}
    lines = install_weights.install(source, plugins)
    assert len(lines) == 4
    digests = [line.rpartition(" ")[2] for line in lines]
    for place, digest in zip(install_weights.PLACES, digests, strict=True):
        package = plugins / place.plugin / "src" / place.package
        assert (package / "weights" / place.file).is_file()
        text = (package / place.module).read_text()
        assert text.count(f'"{digest}"') == 1
        compile(text, place.module, "exec")
    made = [
        next(line for line in text.splitlines() if line.startswith("MADE_OF"))
        for path in before
        if "MADE_OF" in (text := path.read_text())
    ]
    assert len(made) == 2
    assert made[0] == made[1] != 'MADE_OF = ""'

    install_weights.blank(plugins)
    assert {path: path.read_text() for path in before} == before
    assert not list(plugins.glob("*/src/*/weights/*"))


def test_halves_of_two_clips_are_not_installed(plugins, clip_file, tmp_path):
    import install_weights

    source = tmp_path / "half"
    source.mkdir()
    shutil.copyfile(clip_file[0], source / clip_file[0].name)
    with pytest.raises(ValueError, match="no two halves"):
        install_weights.install(source, plugins)
    with pytest.raises(ValueError, match="holds none of"):
        install_weights.install(tmp_path / "absent", plugins)
