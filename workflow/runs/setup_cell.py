"""The setup cell of every .ipynb: installs dynlib on Colab, and checks its version elsewhere."""

import importlib.metadata
import importlib.util
import subprocess
import sys

VERSION = "0.1.0"
if "google.colab" in sys.modules and importlib.util.find_spec("dynlib") is None:
    source = f"dynlib @ git+https://github.com/dynamics-companion/companion@v{VERSION}"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", source], check=True)
if importlib.metadata.version("dynlib") != VERSION:
    raise RuntimeError(
        f"this notebook belongs to dynlib {VERSION}, installed is "
        f"{importlib.metadata.version('dynlib')}; check out the tag v{VERSION} or reinstall"
    )
