"""What holds for every protocol of `composer-pl eval`."""

import subprocess
import sys

from composer_pl.cli.eval import PROTOCOLS


def test_help_of_every_protocol_imports_no_torch():
    code = (
        "import sys\nfrom composer_pl.cli import main\n"
        f"for name in {list(PROTOCOLS)}:\n"
        "    assert main(['eval', name, '--help']) == 0\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for option in ("--orders", "--pairs", "--baseline", "--guidance", "--allow"):
        assert option in done.stdout
