"""What the protocols of `composer-pl eval` say to mistakes."""


def one_mistake(capsys):
    """The one line that a mistake was told in, remarks on what is left out aside."""
    told = [line for line in capsys.readouterr().err.splitlines() if "is left out" not in line]
    assert len(told) == 1, told
    assert "Next: " in told[0]
    return told[0]
