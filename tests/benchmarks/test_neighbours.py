import torch
from neighbours import copies, nearest, thumbnails, variety


def test_a_copy_is_found_and_told_from_new_pictures():
    generator = torch.Generator().manual_seed(0)
    training, new = (
        torch.randint(256, (count, 3, 64, 64), dtype=torch.uint8, generator=generator)
        for count in (50, 20)
    )
    drawn = new.clone()
    drawn[4] = training[17]
    unseen = torch.randint(256, (20, 3, 64, 64), dtype=torch.uint8, generator=generator)
    facts, order, where = copies(drawn, unseen, training)
    assert order[0] == 4
    assert where[4] == 17
    assert facts["drawn_least"] < 1e-3 < facts["unseen_least"]


def test_the_distance_is_of_root_mean_square():
    training = torch.full((1, 3, 64, 64), 255, dtype=torch.uint8)
    black = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    distance, _ = nearest(thumbnails(black), thumbnails(training))
    torch.testing.assert_close(distance, torch.ones(1))


def test_equal_pictures_have_no_variety():
    picture = torch.randint(256, (1, 3, 64, 64), dtype=torch.uint8).expand(5, -1, -1, -1)
    assert variety(thumbnails(picture)) < 1e-5
